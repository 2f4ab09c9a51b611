"""What a config says, and one line for every mistake in it."""

import itertools

import pytest

from mdmjax._errors import InvalidInputError
from mdmjax.sweeps.config import parse_config, read_config

SOURCES = [{"name": "noisy-bit", "flip": [0.1, 0.2]}, "markov"]


def points(**document):
    config = parse_config({"study": "law", **document})
    return [config.point(index) for index in range(config.size)]


def test_a_product_with_the_last_axis_fastest():
    found = points(axes={"source": SOURCES, "source.n": [3, 4], "mix": [0.0, 0.5]})
    heads = [
        {"source": "noisy-bit", "source.flip": 0.1},
        {"source": "noisy-bit", "source.flip": 0.2},
        {"source": "markov"},
    ]
    expected = [h | {"source.n": n, "mix": m} for h, n, m in itertools.product(heads, [3, 4], [0.0, 0.5])]
    assert found == expected


def test_axes_of_a_zip_go_together():
    axes = {"source": ["markov"], "source.n": [4, 6], "mix": [0.0, 0.5], "steps": [2, 3]}
    found = points(axes=axes, zip=[["source.n", "steps"]])
    assert [(p["source.n"], p["steps"], p["mix"]) for p in found] == [
        (4, 2, 0.0),
        (4, 2, 0.5),
        (6, 3, 0.0),
        (6, 3, 0.5),
    ]


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("steps", {"from": 2, "to": 8, "count": 4}, [2, 4, 6, 8]),
        ("temperature", {"from": 0.0, "to": 1.0, "count": 3}, [0.0, 0.5, 1.0]),
        ("temperature", {"from": 1, "to": 2, "count": 3}, [1.0, 1.5, 2.0]),
        ("temperature", {"from": 0.01, "to": 1.0, "count": 3, "scale": "log"}, [0.01, 0.1, 1.0]),
        ("temperature", [0.5, {"from": 1, "to": 3, "count": 3}], [0.5, 1.0, 2.0, 3.0]),
        ("temperature", 1, [1.0]),
    ],
)
def test_a_range_stands_for_its_values(column, value, expected):
    found = [point[column] for point in points(axes={"source": ["markov"], column: value})]
    assert found == pytest.approx(expected)
    assert [type(x) for x in found] == [type(x) for x in expected]


def test_a_table_sets_other_columns_as_well():
    """Its own parameters come first: `steps` of a trained model are its own."""
    decoders = [{"name": "random", "schedule": ["best"], "steps": [1, 2]}, "dilated"]
    models = [{"name": "trained", "steps": 5}, "oracle"]
    found = points(axes={"source": ["markov"], "decoder": decoders, "model": models})
    assert found[0] == {
        "source": "markov",
        "decoder": "random",
        "schedule": "best",
        "steps": 1,
        "model": "trained",
        "model.steps": 5,
    }
    assert found[-1] == {"source": "markov", "decoder": "dilated", "model": "oracle"}
    thresholds = [
        {"name": "early-commit", "thresholds": value} for value in ([3, 2, 1], [[3, 2, 1], [2, 1, 0]])
    ]
    found = points(axes={"source": ["markov"], "decoder": thresholds})
    assert [point["decoder.thresholds"] for point in found] == [(3.0, 2.0, 1.0)] * 2 + [(2.0, 1.0, 0.0)]


def test_points_that_differ_in_floats_and_seeds_only_are_of_one_program():
    axes = {"source": SOURCES, "seed": [0, 1, 2], "mix": [0.0, 0.1], "steps": [1, 2]}
    config = parse_config({"study": "law", "axes": axes, "chunk": 5})
    assert config.programs == 4
    chunks = config.chunks()
    assert sorted(itertools.chain(*chunks)) == list(range(config.size))
    assert [len(chunk) for chunk in chunks] == [5, 5, 2, 5, 5, 2, 5, 1, 5, 1]
    for chunk in chunks:
        assert len({(config.point(i)["source"], config.point(i)["steps"]) for i in chunk}) == 1


def test_programs_of_a_million_points():
    many = {"from": 0.1, "to": 0.4, "count": 100}
    axes = {
        "source": ["markov", "noisy-bit"],
        "source.flip": many,
        "mix": many,
        "steps": [1, 2],
    }
    config = parse_config({"study": "law", "axes": axes | {"seed": {"from": 0, "to": 15, "count": 16}}})
    chunks = config.chunks()
    assert config.programs == 4
    assert sum(map(len, chunks)) == config.size == 640_000
    firsts = [config.point(chunk[0]) for chunk in chunks[:: len(chunks) // 4]]
    assert [point["steps"] for point in firsts] == [1, 2, 1, 2]


AXES = {"source": ["markov"]}


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ({"studdy": "law"}, "key is studdy: want one of .*; perhaps study"),
        ({"study": "laws", "axes": AXES}, "study is laws: want one of law, schedule, steps; perhaps law"),
        ({"study": "law"}, "axes is without source"),
        ({"study": "law", "axes": {"source": ["markof"]}}, "axes.source is markof: .*; perhaps markov"),
        ({"study": "law", "axes": AXES | {"mixx": [0]}}, "axis is mixx: .*; perhaps mix"),
        ({"study": "schedule", "axes": AXES | {"mix": [0]}}, "axis is mix: want one of source"),
        ({"study": "law", "axes": AXES | {"source.flop": [0]}}, "axes.source is flop: .*; perhaps flip"),
        ({"study": "law", "axes": AXES | {"source.blocks": [2]}}, "axes.source.blocks is for markov too"),
        (
            {"study": "law", "axes": {"source": [{"name": "markov", "eta": 1}]}},
            "parameter of markov is eta: want one of n, q, flip",
        ),
        ({"study": "law", "axes": {"source": {"flip": [0.1]}}}, "axes.source is a table without name"),
        ({"study": "law", "axes": AXES | {"mix": {"from": 0, "to": 1}}}, "axes.mix is .* count"),
        (
            {"study": "law", "axes": AXES | {"mix": {"from": 0, "to": 1, "count": 3, "scale": "log"}}},
            "from and to > 0 on a log scale",
        ),
        ({"study": "law", "axes": AXES | {"mix": []}}, "axes.mix is empty"),
        ({"study": "law", "axes": AXES | {"mix": [[{"x": 1}]]}}, "axes.mix is"),
        ({"study": "law", "axes": AXES, "zip": [["source", "stepps"]]}, "axis of zip is stepps"),
        (
            {"study": "law", "axes": AXES | {"mix": [0.0, 0.1]}, "zip": [["source", "mix"]]},
            "zip is source of 1, mix of 2: want axes of one length",
        ),
        ({"study": "law", "axes": AXES | {"seed": {"from": 1, "to": 9**9, "count": 2 * 10**6}}}, "at most"),
        (
            {"study": "law", "axes": {"source": [{"name": "markov", "n": 4}], "source.n": [4]}},
            "an axis of source.n",
        ),
        ({"study": "law", "axes": AXES | {"steps": [2.5]}}, "axes.steps is 2.5: want an integer"),
        ({"study": "law", "axes": AXES | {"mix": ["much"]}}, "axes.mix is much: want a number"),
        ({"study": "law", "axes": AXES | {"mix": [True]}}, "axes.mix is True: want a number"),
        (
            {"study": "law", "axes": AXES | {"decoder": [{"name": "threshold", "threshold": "high"}]}},
            "threshold.threshold is high: want a number",
        ),
        (
            {"study": "law", "axes": AXES | {"decoder": [{"name": "early-commit", "thresholds": [1, 2]}]}},
            r"early-commit.thresholds is \[1, 2\]: want a list of 3 numbers",
        ),
        (
            {"study": "law", "axes": AXES | {"mix": [0.1], "decoder": [{"name": "random", "mix": 0.2}]}},
            "an axis of mix: want one, as axes.decoder sets it too",
        ),
        ({"study": "law", "axes": AXES, "chunk": 0}, "chunk is 0"),
        ({"study": "law", "axes": AXES, "keep": "kl"}, "keep is kl: want a list of names"),
    ],
)
def test_one_line_for_every_mistake(document, line):
    with pytest.raises(InvalidInputError, match=line) as caught:
        parse_config(document)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_config(tmp_path):
    with pytest.raises(InvalidInputError, match="CONFIG is .*a file that can be read"):
        read_config(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("study = law")
    with pytest.raises(InvalidInputError, match="CONFIG is .*bad.toml: want a TOML file"):
        read_config(tmp_path / "bad.toml")
