"""Folders of Hugging Face: tiny random models, written here, against the model called by hand."""

import json
import shutil

import numpy as np
import pytest

from mdmjax._errors import InvalidInputError
from mdmjax.cli import main
from mdmjax.files.loss_table import read_loss_table

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from mdmjax.studies.hugging_face import open_hugging_face  # noqa: E402
from mdmjax.studies.measure import measure_study  # noqa: E402

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = list("ACDEFGH")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

REMOTE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput

class TinyConfig(PretrainedConfig):
    model_type = "{kind}"
    def __init__(self, vocab_size=12, mask_token_id=4, **rest):
        super().__init__(**rest)
        self.vocab_size, self.mask_token_id = vocab_size, mask_token_id

class Tiny(PreTrainedModel):
    config_class = TinyConfig
    def __init__(self, config):
        super().__init__(config)
        self.rows = torch.nn.Embedding(config.vocab_size, config.vocab_size)
        self.register_buffer("one", torch.ones(1), persistent=False)
    def _init_weights(self, module):
        pass
    def forward(self, input_ids, attention_mask=None):
        return MaskedLMOutput(logits=self.one * self.rows(input_ids).cumsum(1))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random BERT of seven letters."""
    place = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=12,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        initializer_range=1.0,
    )
    transformers.BertForMaskedLM(config).save_pretrained(place)
    (place / "vocab.txt").write_text("\n".join([*SPECIAL, *LETTERS]) + "\n")
    (place / "tokenizer_config.json").write_text(
        json.dumps({"do_lower_case": False, "tokenizer_class": "BertTokenizer"})
    )
    return place


@pytest.fixture
def remote(folder, tmp_path):
    """A model with code of its own, as LLaDA and Dream have."""

    def make(kind):
        place = tmp_path / kind
        shutil.copytree(folder, place)
        (place / "model.safetensors").unlink()
        (place / "modeling_tiny.py").write_text(REMOTE.replace("{kind}", kind))
        names = {"AutoConfig": "modeling_tiny.TinyConfig", "AutoModel": "modeling_tiny.Tiny"}
        stored = {"model_type": kind, "auto_map": names, "vocab_size": 12, "mask_token_id": 4}
        (place / "config.json").write_text(json.dumps(stored))
        from safetensors.torch import save_file

        torch.manual_seed(1)
        save_file({"rows.weight": torch.randn(12, 12)}, place / "model.safetensors", {"format": "pt"})
        return place

    return make


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "a.fasta"
    path.write_text(">a\nACDEFGHA\n>b\nHHGFEDCA\n>c\nAAACCCDD\n")
    return path


def test_a_bert_is_called_with_its_frame_and_special_ids_are_no_answer(folder, fasta):
    model = open_hugging_face(folder)
    subject = model.measurable(fasta)
    assert subject.data[0].tolist() == [2, 5, 6, 7, 8, 9, 10, 11, 5, 3]
    assert model.forbidden == (0, 1, 2, 3, 4)
    assert subject.options["regions"].tolist() == [[False] + [True] * 8 + [False]] * 3
    found = measure_study(0, subject)
    by_hand = transformers.BertForMaskedLM.from_pretrained(folder).eval()
    masked = torch.tensor([[2] + [4] * 8 + [3]])
    with torch.no_grad():
        rows = torch.log_softmax(by_hand(masked).logits[0, 1:9, 5:], dim=-1).numpy()
    alone = [-np.mean([rows[i, a - 5] for i, a in enumerate(x[1:9])]) for x in subject.data]
    table = found.losses.table()
    assert table.n_masked.tolist() == list(range(1, 9))
    assert table.loss[-1] == pytest.approx(np.mean(alone), abs=1e-5)


def test_padding_changes_nothing(folder, tmp_path):
    model = open_hugging_face(folder)
    long, short = tmp_path / "long.fasta", tmp_path / "short.fasta"
    long.write_text(">a\nACDEFGHA\n>b\nHHG\n>c\nAAA\n")
    short.write_text(">b\nHHG\n>c\nAAA\n")
    padded, plain = model.measurable(long), model.measurable(short)
    assert padded.data[1].tolist() == [2, 11, 11, 10, 3, 0, 0, 0, 0, 0]
    one, two = padded.logits_fn(padded.data[1:]), plain.logits_fn(plain.data)
    assert one[:, :5].detach().numpy() == pytest.approx(two.detach().numpy(), abs=1e-5)


def test_only_answers_are_masked(folder, tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"prompt": "A C", "answer": "D E F"}, {"prompt": "A", "completion": "G H A C"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    subject = open_hugging_face(folder).measurable(path)
    assert subject.data.tolist() == [[2, 5, 6, 7, 8, 9, 3], [2, 5, 10, 11, 5, 6, 3]]
    region = subject.options["regions"].astype(int).tolist()
    assert region == [[0, 0, 0, 1, 1, 1, 0], [0, 0, 1, 1, 1, 1, 0]]
    report = measure_study(0, subject, cfg_scale=0.5)
    assert report.calls == 2 * 2 * report.losses.n


def test_a_text_is_cut_into_windows(folder, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("A C D E\nF G H A C\n")
    model = open_hugging_face(folder)
    windows = model.measurable(path, length=3).data
    assert windows.tolist() == [[2, 5, 6, 7, 3], [2, 8, 9, 10, 3], [2, 11, 5, 6, 3]]
    assert model.measurable(path, length=3, most=2).data.tolist() == windows[:2].tolist()
    assert model.measurable(path).data.tolist() == [[2, 5, 6, 7, 8, 3, 0], [2, 9, 10, 11, 5, 6, 3]]


@pytest.mark.parametrize(("kind", "shift"), [("llada", 0), ("Dream", 1)])
def test_code_in_the_folder_runs_if_it_is_trusted(kind, shift, remote, fasta):
    place = remote(kind)
    with pytest.raises(InvalidInputError, match="which has code of its own: .*--trust-remote-code runs"):
        open_hugging_face(place)
    model = open_hugging_face(place, trust_remote_code=True)
    assert (model.shift, model.mask_id) == (shift, 4)
    table = measure_study(0, model.measurable(fasta)).losses.table()
    weights = model.model.rows.weight.detach().numpy()
    tokens = np.array([2] + [4] * 8 + [3])
    logits = np.cumsum(weights[tokens], axis=0)
    rows = logits[np.arange(1, 9) - shift][:, 5:]
    rows = rows - np.log(np.exp(rows).sum(1, keepdims=True))
    data = model.measurable(fasta).data[:, 1:9] - 5
    assert table.loss[-1] == pytest.approx(-rows[np.arange(8), data].mean(), abs=1e-4)


def test_code_that_ignores_a_mask_sees_no_padding(remote, tmp_path):
    place, long, short = remote("llada"), tmp_path / "long.fasta", tmp_path / "short.fasta"
    code = place / "modeling_tiny.py"
    code.write_text(code.read_text().replace(".cumsum(1)", ".flip(1).cumsum(1).flip(1)"))
    model = open_hugging_face(place, trust_remote_code=True)
    long.write_text(">a\nACDEFGHA\n>b\nHHG\n>c\nAAA\n")
    short.write_text(">b\nHHG\n>c\nAAA\n")
    padded, plain = model.measurable(long), model.measurable(short)
    one, two = padded.logits_fn(padded.data), plain.logits_fn(plain.data)
    assert one[1:, :5].detach().numpy() == pytest.approx(two.detach().numpy(), abs=1e-5)


@pytest.mark.parametrize(
    ("name", "message"), [("rows", "without the weights rows.weight"), ("more", "with weights more.weight")]
)
def test_weights_of_code_of_its_own_are_all_and_no_other(name, message, remote):
    from safetensors.torch import load_file, save_file

    path = remote("llada") / "model.safetensors"
    weights = {} if name == "rows" else load_file(path) | {"more.weight": torch.ones(2)}
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(InvalidInputError, match=message):
        open_hugging_face(path.parent, trust_remote_code=True)


def test_the_command_measures_writes_and_goes_on(folder, fasta, tmp_path, capsys):
    words = [
        "loss-curve",
        f"hf:{folder}",
        "--data",
        str(fasta),
        "--out",
        str(tmp_path / "loss.csv"),
        "--json",
    ]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found, first = json.loads(out), (tmp_path / "loss.csv").read_bytes()
    assert (found["sequences"], found["n"], found["vocabulary"], found["calls"]) == (3, 8, 12, 24)
    assert found["neighbours"] < 1e-5
    assert sorted(read_loss_table(tmp_path / "loss.csv", 8).n_masked) == sorted([*range(1, 9)] * 3)
    assert main(words) == 0
    assert (tmp_path / "loss.csv").read_bytes() == first


def test_the_command_measures_blocks(folder, fasta, tmp_path, capsys):
    out = tmp_path / "blocks.csv"
    words = ["loss-curve", f"hf:{folder}", "--data", str(fasta), "--out", str(out), "--json"]
    assert main([*words, "--block-length", "4"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n"], [one["block"] for one in found["blocks"]]) == (4, [0, 1])
    assert out.read_text().startswith("n_masked,loss,count,block,sequence\n")
    assert main(["schedule", "loss-curve", str(out), "--steps", "2", "--repetitions", "4", "--json"]) == 0
    assert [sum(one["counts"]) for one in json.loads(capsys.readouterr().out)["blocks"]] == [4, 4]


def broken(folder, tmp_path, **changes):
    """A copy of the folder with other files; a value of None removes one."""
    place = tmp_path / "broken"
    shutil.copytree(folder, place)
    for name, data in changes.items():
        path = place / name.replace("_json", ".json").replace("_safetensors", ".safetensors")
        path.unlink() if data is None else path.write_bytes(data)
    return place


@pytest.mark.parametrize(
    ("words", "text", "message"),
    [
        ([], ">a\nACB\n>b\nACD\n", "--data is with B in sequence 1: want symbols that the tokenizer knows"),
        (
            [],
            ">a\nAC\n>b\n" + "A" * 15,
            "--data is of 17 tokens in sequence 2: want at most 16 of this model",
        ),
        ([], ">a\nACD\n", "--data is 1 sequences: want two or more"),
        (["--mask-id", "99"], None, "--mask-id is 99: want ids in 0..11"),
        (["--shift", "2"], None, "--shift is 2: want 0 or 1"),
        (["--length", "3"], None, "--length is 3: want left out; only a text"),
        (["--dtype", "int8"], None, "--dtype is int8"),
        (["--device", "nowhere"], None, "--device is nowhere: want a device of torch here"),
        (["--mask-id", "99"], None, "--mask-id is 99: want ids in 0.."),
        (["--cfg-scale", "1"], None, "--cfg-scale is 1.0: want 0 where nothing is outside the regions"),
    ],
)
def test_bad_input_is_one_line(words, text, message, folder, fasta, tmp_path, capsys):
    if text is not None:
        fasta.write_text(text)
    out = tmp_path / "loss.csv"
    assert main(["loss-curve", f"hf:{folder}", "--data", str(fasta), "--out", str(out), *words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err
    assert not out.exists()


def test_folders_that_are_no_model(folder, tmp_path):
    with pytest.raises(InvalidInputError, match="want a folder with config.json"):
        open_hugging_face(tmp_path / "nowhere")
    place = broken(folder, tmp_path, model_safetensors=b"no")
    with pytest.raises(InvalidInputError, match="want a masked model that transformers opens"):
        open_hugging_face(place)
    (place / "config.json").write_text('{"model_type": "nonesuch"}')
    with pytest.raises(InvalidInputError, match="want a masked model that transformers opens"):
        open_hugging_face(place)


def test_weights_that_are_missing_are_not_made_up(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    place = broken(folder, tmp_path)
    weights = load_file(place / "model.safetensors")
    name = next(one for one in weights if "encoder" in one)
    save_file(
        {k: v for k, v in weights.items() if k != name}, place / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(InvalidInputError, match=f"without the weights {name}"):
        open_hugging_face(place)


def test_a_protein_after_a_prompt_is_letters_too(folder, tmp_path):
    """In JSONL as in FASTA; and its decoders are scored, prompts of two lengths among them."""
    path = tmp_path / "p.jsonl"
    rows = [{"prompt": "ACD", "answer": "EFG"}, {"prompt": "A", "answer": "HGF"}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    subject = open_hugging_face(folder).measurable(path)
    letters = np.array([*SPECIAL, *LETTERS])
    assert ["".join(letters[row]) for row in subject.data[:1]] == ["[CLS]ACDEFG[SEP]"]
    assert subject.options["regions"].sum(axis=1).tolist() == [3, 3]
    words = ["likelihood", f"hf:{folder}", "l2r", "threshold:0.5", "--data", str(path), "--steps", "3"]
    assert main(words) == 0


def test_likelihood_of_a_folder_is_that_of_its_rows(folder, fasta, capsys):
    """Left to right, one token a step, against the model called by hand."""
    model = open_hugging_face(folder)
    data = np.array(model.measurable(fasta).data)
    regions, spent = data >= 5, np.zeros(len(data))
    n = int(regions[0].sum())
    for row in range(len(data)):
        places = np.flatnonzero(regions[row])
        for done in range(n):
            ids = data[row].copy()
            ids[places[done:]] = 4
            logits = model.logits(ids[None])[0, places[done], 5:].detach().double()
            spent[row] -= float(torch.log_softmax(logits, -1)[data[row, places[done]] - 5])
    words = ["likelihood", f"hf:{folder}", "l2r", "--data", str(fasta), "--steps", str(n), "--json"]
    assert main(words) == 0
    (found,) = json.loads(capsys.readouterr().out)["decoders"]
    assert found["exact_nll"]["mean"] == pytest.approx(spent.mean(), rel=1e-5)


def test_certificates_of_a_folder(folder, fasta, capsys):
    words = ["certify", "model", f"hf:{folder}", "--data", str(fasta), "--epsilon", "0.5"]
    assert main([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found = json.loads(out)
    assert (found["n"], found["q"], found["exact"], found["sample"]["samples"]) == (8, 7, False, 3)
    assert (found["mask_id"], found["device"]) == (4, "cpu")
    assert main(words) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Of a model it is its sampling error only" in text
    assert "a network's are near at best" in text
    assert main([*words[:3], *words[5:]]) == 2
    assert "--data is not given" in capsys.readouterr().err
