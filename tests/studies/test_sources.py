"""Sources: JSON both ways, what each gives, and the folders of models that name one."""

import dataclasses
import json
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mdmjax import (
    InvalidInputError,
    Oracle,
    Schedule,
    Transformer,
    TransformerConfig,
    information_curve,
    schedule_study,
    tabulate,
)
from mdmjax.denoisers.perturbed import Fallback
from mdmjax.families import FAMILIES
from mdmjax.files.model_folder import MODEL
from mdmjax.files.safetensor_files import write_model
from mdmjax.information.counts import types
from mdmjax.laws.random_order import random_order_law
from mdmjax.studies.own_schedule import own_schedule_study
from mdmjax.studies.sources import (
    CorpusSource,
    FamilySource,
    JointSource,
    LossTableSource,
    TextSource,
    rooted,
    source_from_json,
)
from mdmjax.studies.trained import LOSS_CURVE, open_model


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = np.random.default_rng(0).dirichlet(np.ones(27)).reshape(3, 3, 3)
    np.savez("table.npz", probs=table)
    (tmp_path / "text.txt").write_text("def f(x):\n    return x + 1\n" * 10)
    dice = {"weights": [0.5, 0.3, 0.2], "probs": [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0, 0.3, 0.7]]}
    (tmp_path / "dice.json").write_text(json.dumps(dice))
    (tmp_path / "loss.csv").write_text("n_masked,loss,stderr\n8,2,.1\n4,2.5,.1\n1,1,.1\n")


def path(name):
    return pathlib.Path(name)


def law_source(name, **given):
    return FamilySource(name, FAMILIES[name].values("law", **given))


SOURCES = {
    **{name: {"name": name, **family.values("law")} for name, family in FAMILIES.items()},
    "joint": {"name": "joint", "file": "table.npz"},
    "mixture": {"name": "mixture", "file": "dice.json", "n": 5},
    "multiset": {"name": "multiset", "repeats": [3, 2, 1]},
    "text": {"name": "text", "path": "text.txt", "window": 3, "classes": []},
    "classes": {"name": "text", "path": None, "window": 4, "classes": ["vowel=aeiou", "equal=="]},
    "corpus": {"name": "text", "path": "text.txt", "length": 8, "bytes": False},
    "bytes": {"name": "text", "path": None, "length": 128, "bytes": True},
    "loss-curve": {
        "name": "loss-curve",
        "file": "loss.csv",
        "length": None,
        "fit": "isotonic",
        "columns": "n_masked=n_masked",
        "unit": "bits",
        "per": "sequence",
        "weighted": False,
        "vocabulary": 20,
    },
}


@pytest.mark.parametrize("document", SOURCES.values(), ids=SOURCES)
def test_json_there_and_back(document):
    source = source_from_json(json.loads(json.dumps(document)))
    assert source.name == document["name"]
    assert source.to_json() == document
    assert list(source.to_json()) == list(document)
    assert source_from_json(source.to_json()) == source


@pytest.mark.parametrize("name", [pytest.param("mixture", marks=pytest.mark.slow), "multiset"])
def test_exchangeable_words_are_one_distribution_by_every_way(name):
    """The table that is tabulated, the exact curve, and the law of types; the own law by two ways."""
    source = source_from_json(SOURCES[name])
    joint, (curve, _), (log_counts, q) = tabulate(source.distribution()[0]), source.curve(), source.counts()
    np.testing.assert_allclose(curve.information, information_curve(joint).information, 1e-10, 1e-14)
    words = np.array(list(np.ndindex(joint.probs.shape)))
    kinds = np.stack([np.sum(words == symbol, axis=1) for symbol in range(1, q)], axis=1)
    by_types = [joint.probs.reshape(-1)[(kinds == kind).all(1)].sum() for kind in types(joint.n, q)]
    np.testing.assert_allclose(jnp.exp(log_counts), by_types, 1e-12, 1e-15)
    found = own_schedule_study(schedule_study(curve, steps=2), source)
    for schedule in (found.schedule, found.shortest):
        dense = random_order_law(Fallback(Oracle(joint)), schedule).kl(joint)
        assert found.forward_kl(schedule) == pytest.approx(float(dense), rel=1e-10, abs=1e-13)
    every = [Schedule([k, joint.n - k]) for k in range(1, joint.n)]
    assert found.forward_kl(found.schedule) == pytest.approx(min(map(found.forward_kl, every)))


def test_kinds_of_one_name_are_told_apart():
    assert source_from_json(SOURCES["text"]) == TextSource(path("text.txt"), 3)
    assert source_from_json(SOURCES["corpus"]) == CorpusSource(path("text.txt"), 8)
    assert source_from_json(SOURCES["loss-curve"]) == LossTableSource(
        path("loss.csv"),
        fit="isotonic",
        columns="n_masked=n_masked",
        unit="bits",
        per="sequence",
        vocabulary=20,
    )


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (None, "source is None"),
        ({}, "source is {}"),
        ({"name": "nothing"}, "want a name and its options"),
        ({"name": ["markov"]}, "want a name and its options"),
        ({"name": "joint"}, "want a name and its options"),
        ({"name": "joint", "file": 3}, "file is 3"),
        ({"name": "joint", "file": "a", "b": 1}, "want a name and its options"),
        ({"name": "text", "path": 3, "length": 8, "bytes": True}, "path is 3"),
        ({"name": "text", "path": None, "length": "8", "bytes": True}, "length is '8'"),
        ({"name": "text", "path": None, "length": None, "bytes": True}, "length is None"),
        ({"name": "text", "path": None, "length": 8, "bytes": 1}, "bytes is 1"),
        ({"name": "text", "path": None, "window": 3, "classes": "a=b"}, "classes is 'a=b'"),
        ({"name": "text", "path": None, "window": 3, "classes": [1]}, "classes is"),
        ({"name": "text", "path": None, "window": None, "classes": []}, "window is None"),
        ({"name": "markov", "n": 8, "q": 2}, "flip is not given"),
        ({"name": "multiset", "repeats": "32"}, "repeats is '32'"),
        ({"name": "multiset", "repeats": ["3", 2]}, r"repeats is \['3', 2\]"),
        ({"name": "markov", "n": "8", "q": 2, "flip": 0.1}, "n is '8'"),
    ],
)
def test_what_no_source_has_written_is_refused(document, words):
    with pytest.raises(InvalidInputError, match=words):
        source_from_json(document)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_gives_all_three(name):
    source = law_source(name)
    distribution, subject = source.distribution()
    curve, of_curve = source.curve()
    assert subject.title == of_curve.title == FAMILIES[name].title(**source.values)
    assert subject.source == of_curve.source == source.to_json()
    assert subject.q == of_curve.q == distribution.q
    assert curve.n == distribution.n
    sizes = {"block-hmm": 8, "random-table": 6, "nae-sat": 8}
    how = (
        f"enumeration of 2^{sizes[name]} states and 2^{sizes[name]} subsets"
        if name in sizes
        else "closed form"
    )
    assert of_curve.method == how
    examples = source.examples()
    assert (examples.training.n, examples.training.q) == (distribution.n, distribution.q)
    assert examples.facts == {}
    entropy = examples.known["the entropy of the source, which no model beats"]
    assert entropy == pytest.approx(float(curve.entropy) / curve.n)


def test_a_table_from_a_file():
    source = JointSource(path("table.npz"))
    joint, subject = source.distribution()
    assert (subject.title, subject.q) == ("table table.npz", 3)
    curve, subject = source.curve()
    assert subject.method == "enumeration of 3^3 states and 2^3 subsets"
    np.testing.assert_allclose(curve.information, information_curve(joint).information, rtol=1e-12)
    facts = source.examples().facts
    assert list(facts) == ["fingerprint"]
    np.savez("table.npz", probs=np.full((2, 2), 0.25))
    assert source.examples().facts != facts


def test_windows_of_a_text_are_tracked():
    seen = []

    def track(items, label):
        seen.append((label, len(items)))
        return items

    source = TextSource(path("text.txt"), 3, ("letter=a-z", "space= "))
    joint, subject = source.distribution(track)
    assert seen == [("reading", 1), ("classifying", 1)]
    assert (joint.n, joint.q, subject.q) == (3, 3, 3)
    assert subject.title == "windows of 3 characters of the text.txt"
    assert subject.facts == {
        "files": 1,
        "skipped_files": 0,
        "characters": 270,
        "classes": ["letter", "space", "other"],
    }
    curve, subject = source.curve()
    assert subject.method == "enumeration of 3^3 states and 2^3 subsets"
    np.testing.assert_allclose(curve.information, information_curve(joint).information, rtol=1e-12)


def test_a_corpus_has_two_sides_and_says_what_it_is():
    examples = CorpusSource(path("text.txt"), 8).examples()
    assert list(examples.facts) == [
        "of",
        "files",
        "skipped_files",
        "characters",
        "held_out",
        "fingerprint",
        "alphabet",
    ]
    assert examples.facts["of"] == "text.txt"
    assert examples.facts["fingerprint"] == "a879a3e72fcc10c4"
    assert examples.title == "windows of 8 characters of text.txt"
    assert list(examples.known.values()) == pytest.approx([2.4275195002996135], rel=1e-14)
    assert examples.held_out.tokens.size == 27
    assert examples.training.draw(jax.random.key(0)).shape == (8,)
    assert len(examples.facts["alphabet"]["characters"]) == examples.training.q
    of_bytes = CorpusSource(path("text.txt"), 8, bytes=True).examples()
    assert (of_bytes.training.q, of_bytes.title) == (256, "windows of 8 bytes of text.txt")
    with pytest.raises(InvalidInputError, match="length is 28: want at most the 27 tokens .* held out"):
        CorpusSource(path("text.txt"), 28).examples()


def test_a_loss_table_gives_its_curve_and_facts():
    curve, subject = LossTableSource(path("loss.csv"), fit="rows").curve()
    assert (curve.n, float(curve.loss[4])) == (8, 2.5)
    assert subject.method == "measured on a model"
    assert subject.facts == {
        "length_given": False,
        "rows": 3,
        "measured": 3,
        "interpolated": 5,
        "least_measured": 1,
        "largest_measured": 8,
        "repeated": 0,
        "rises": 1,
        "fit": "rows",
        "columns": {"n_masked": "n_masked", "loss": "loss", "stderr": "stderr"},
        "logged_steps": None,
        "rows_merged": 0,
        "reversed": False,
        "rises_within_noise": 0,
        "unit_doubtful": False,
        "above_log_q": None,
    }
    fit, subject = LossTableSource(path("loss.csv"), 8, "isotonic").curve()
    assert (subject.facts["length_given"], subject.facts["fit"]) == (True, "isotonic")
    assert bool(jnp.all(jnp.diff(fit.loss) <= 0))
    assert LossTableSource(path("loss.csv")).curve()[1].facts["fit"] == "spline"  # it has standard errors


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: FamilySource("chain", {}), "source is chain: want one of block-hmm, markov"),
        (lambda: law_source("block-hmm", blocks=8).curve(), "blocks, block_size is 8, 4: want a joint and"),
        (lambda: law_source("block-hmm", blocks=2**20).curve(), "these need over 2.* closed form"),
        (lambda: TextSource(window=0), "window is 0: want an integer >= 1"),
        (lambda: TextSource(window=99), "window is 99: want a joint and entropies .*; these need"),
        (lambda: TextSource(window=10**18), "window is 10+: want a joint"),
        (lambda: TextSource(classes=("digit",)), "classes is digit: want NAME=SET"),
        (lambda: TextSource(classes=("digit=[",)), "classes is 'digit'"),
        (lambda: TextSource(path("missing")).distribution(), "path is missing"),
        (lambda: CorpusSource(length=0), "length is 0"),
        (lambda: CorpusSource(path("missing")).examples(), "path is missing"),
        (lambda: JointSource(path("missing.npz")).curve(), "file is missing.npz"),
        (lambda: JointSource(path("missing.npz")).examples(), "file is missing.npz.*no such file"),
        (lambda: LossTableSource(path("loss.csv"), 7).curve(), "n_masked is 8 in row 1"),
        (
            lambda: LossTableSource(path("loss.csv"), unit="nat"),
            "unit is nat: want one of nats, bits, perp",
        ),
        (
            lambda: LossTableSource(path("loss.csv"), per="step"),
            "per is step: want one of token, position, s",
        ),
        (lambda: LossTableSource(path("loss.csv"), vocabulary=1), "vocabulary is 1: want an integer >= 2"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(InvalidInputError, match=words):
        make()


def test_a_rooted_source_means_the_same_everywhere(tmp_path, monkeypatch):
    source = rooted(CorpusSource(path("text.txt"), 8))
    assert source.path == tmp_path / "text.txt"
    assert rooted(CorpusSource()) == CorpusSource()
    chain = law_source("markov")
    assert rooted(chain) == chain


def folder_of(source, folder, change=None):
    """A folder with a random network, as a training of the source would leave it."""
    examples = source.examples()
    config = TransformerConfig(
        n=examples.training.n, q=examples.training.q, width=16, depth=1, heads=2, hidden=16
    )
    folder.mkdir()
    network = Transformer.create(jax.random.key(0), config)
    metadata = {"source": source.to_json(), "data": examples.facts} | (change or {})
    write_model(folder / MODEL, network, metadata)
    return folder


@pytest.mark.parametrize(
    "document",
    [
        {"name": "markov", "n": 6, "q": 2, "flip": 0.1},
        {"name": "block-hmm", "blocks": 1, "block_size": 4, "eta": 1e-08},
        {"name": "joint", "file": "table.npz"},
        {"name": "text", "path": "text.txt", "length": 8, "bytes": False},
    ],
)
def test_a_model_is_opened_with_what_it_was_trained_on(tmp_path, document):
    """The metadata are those of models that were written before sources were objects."""
    source = source_from_json(document)
    trained = open_model(folder_of(source, tmp_path / "model"))
    assert trained.source == source
    assert (trained.alphabet is None) == (document["name"] != "text")
    held_out = trained.held_out()
    assert (held_out.n, held_out.q) == (trained.network.n, trained.network.q)


def test_data_that_have_changed_since_are_refused(tmp_path):
    for source, name in (
        (CorpusSource(path("text.txt"), 8), "text.txt"),
        (JointSource(path("table.npz")), ""),
    ):
        folder = folder_of(source, tmp_path / source.name)
        if name:
            (tmp_path / name).write_text("def g(x):\n    return x + 2\n" * 10)
        else:
            np.savez("table.npz", probs=np.full((3, 3, 3), 1 / 27))
        with pytest.raises(
            InvalidInputError, match=r"of fingerprint \w+: want .* as it was for the training"
        ):
            open_model(folder).held_out()


def test_losses_that_are_older_than_the_model_are_not_used(tmp_path):
    trained = open_model(folder_of(law_source("markov"), tmp_path / "model"))
    assert trained.stored_losses() is None
    stored = tmp_path / "model" / LOSS_CURVE
    stored.write_bytes((tmp_path / "loss.csv").read_bytes())
    assert trained.stored_losses().loss.tolist() == [2.0, 2.5, 1.0]
    os.utime(stored, (0, 0))
    assert trained.stored_losses() is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": {"name": "nothing"}}, "want a model of mdmjax train; in its metadata source is"),
        ({"source": None}, "in its metadata source is None"),
        ({"source": SOURCES["loss-curve"]}, "trained on"),
        ({"data": None}, "in its metadata data is not there"),
        ({"data": {"alphabet": 3}}, "in its metadata alphabet is 3"),
    ],
)
def test_metadata_that_name_no_source(tmp_path, change, words):
    with pytest.raises(InvalidInputError, match=words):
        open_model(folder_of(law_source("markov"), tmp_path / "model", change))


def test_no_model(tmp_path):
    with pytest.raises(InvalidInputError, match="want a folder with model.safetensors; mdmjax train"):
        open_model(tmp_path)


def test_sources_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        CorpusSource().length = 3
