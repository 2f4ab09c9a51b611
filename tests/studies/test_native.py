"""Native checkpoints measured and scored: against NumPy, and by the commands with a tokenizer."""

import json
import sys

import numpy as np
import pytest
from _checkpoints import dream, llada, written
from _pretrained_oracle import pretrained_logits

from mdmjax.cli import main
from mdmjax.files.pretrained import read_pretrained
from mdmjax.studies.measure import Measurable, measure_study
from mdmjax.studies.native import VocabularyLogits

LETTERS = "abcdefg"


def test_what_is_measured_are_the_losses_of_the_definition(tmp_path):
    """Rows of unequal length with padding, of a model that predicts the next position."""
    config, tensors = dream(np.random.default_rng(2))
    network = read_pretrained(written(tmp_path, config, tensors))
    data = np.array([[0, 1, 2, 3, 4, 5], [10, 6, 2, 1, 10, 10]])  # the first 10 is no padding
    regions = np.array([[0, 1, 1, 1, 1, 0], [0, 0, 1, 1, 0, 0]], bool)
    options = {"forbidden": (), "pad_id": 10, "regions": regions, "shift": 1}
    subject = Measurable(VocabularyLogits(network, 10), data, mask_id=7, options=options)
    found = measure_study(0, subject, batch=4).losses
    whole = found.n_masked == found.n
    symbols = np.setdiff1d(np.arange(11), [7, 10])
    for sequence, length in ((0, 6), (1, 4)):
        ids, where = np.where(regions, 7, data)[sequence][:length], np.flatnonzero(regions[sequence])
        rows = pretrained_logits(tensors, config, ids)[where - 1][:, symbols]
        rows = rows - np.log(np.exp(rows).sum(1, keepdims=True))
        right = rows[np.arange(len(where)), np.searchsorted(symbols, data[sequence, where])]
        loss = found.loss[whole & (found.sequence == sequence)]
        assert loss == pytest.approx(-right.mean(), rel=1e-5)


@pytest.fixture(params=["llada", "dream"])
def folder(request, tmp_path):
    """With a tokenizer as the real ones have it: tokenizer.json, or vocab.json and merges.txt."""
    pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    place = tmp_path / request.param
    config, tensors = (llada if request.param == "llada" else dream)(np.random.default_rng(3), rows=12)
    written(place, config | {"auto_map": {"AutoModel": "code.Model"}}, tensors)
    vocabulary, special = {x: i for i, x in enumerate(LETTERS)}, {"eos_token": "<e>", "pad_token": "<e>"}
    if request.param == "llada":
        tokenizer = Tokenizer(models.BPE(vocabulary, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.add_special_tokens(["<e>", "<m>"])
        tokenizer.save(str(place / "tokenizer.json"))
        about = {"tokenizer_class": "PreTrainedTokenizerFast", **special}
    else:
        (place / "vocab.json").write_text(json.dumps(vocabulary))
        (place / "merges.txt").write_text("#version: 0.2\n")
        decoder = {
            str(i): {"content": x, "special": True, "lstrip": False, "rstrip": False, "normalized": False,
                     "single_word": False}
            for i, x in ((7, "<e>"), (8, "<m>"))
        }  # fmt: skip
        about = {"tokenizer_class": "DreamTokenizer", "auto_map": {"AutoTokenizer": ["code.T", None]}}
        about |= {**special, "mask_token": "<m>", "unk_token": None, "added_tokens_decoder": decoder}
    (place / "tokenizer_config.json").write_text(json.dumps(about))
    (tmp_path / "text.txt").write_text("abcd\nbadc\nggfe\n")
    return place


def words_of(folder, *more):
    text = str(folder.parent / "text.txt")
    return [*more[:1], f"hf:{folder}", *more[1:], "--native", "--data", text, "--json"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_commands_take_folders_without_torch_or_their_code(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # an import of it would fail
    out = tmp_path / "loss.csv"
    assert main([*words_of(folder, "loss-curve"), "--out", str(out)]) == 0
    found, err = capsys.readouterr()
    report = json.loads(found)
    assert (err, report["n"], report["vocabulary"], report["calls"]) == ("", 4, 12, 12)
    assert main(words_of(folder, "likelihood", "l2r", "--steps", "4")) == 0
    (scored,) = json.loads(capsys.readouterr().out)["decoders"]
    config = json.loads((folder / "config.json").read_text())
    import safetensors.numpy

    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    shift, spent, symbols = int(config["model_type"] == "Dream"), 0.0, [*range(7), 9, 10, 11]
    for line in ("abcd", "badc", "ggfe"):
        ids = [LETTERS.index(x) for x in line]
        for done in range(4):
            row = pretrained_logits(tensors, config, ids[:done] + [8] * (4 - done))
            row = row[max(done - shift, 0)][symbols]
            spent -= (row[ids[done]] - np.log(np.exp(row).sum())) / 3
    assert scored["exact_nll"]["mean"] == pytest.approx(spent, rel=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trust-remote-code"], "--trust-remote-code is True: want left out with --native"),
        (["--device", "cuda"], "--device is cuda: want left out with --native"),
        (["--dtype", "float16"], "--dtype is float16: want float32 or bfloat16 with --native"),
        (["--mask-id", "12"], "--mask-id is 12: want "),
        (["--shift", "2"], "--shift is 2: want 0 or 1"),
    ],
)
def test_bad_input_is_one_line(words, message, folder, tmp_path, capsys):
    out = tmp_path / "loss.csv"
    assert main([*words_of(folder, "loss-curve"), "--out", str(out), *words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err
    assert not out.exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_type_that_we_do_not_have(folder, capsys):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    assert main(words_of(folder, "loss-curve")) == 2
    assert "model_type is 'bert': want llada or dream" in capsys.readouterr().err
