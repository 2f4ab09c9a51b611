"""What the bench of sweeps compares: the same chunks, and every work in its turn."""

import pytest

pytest.importorskip("distributed")
pytest.importorskip("pyarrow")

from bench import sweeps


def test_every_chunk_is_one_program_of_all_its_points():
    config = sweeps.of_a_second(2)
    assert [len(chunk) for chunk in config.chunks()] == [256, 256]
    assert config.programs == 1
    groups = list(sweeps.groups_of(sweeps.laws(2, "random", 1, 8, chunk=4)))
    assert [group.places for group in groups] == [[0, 1, 2, 3]] * 2
    assert groups[0].known == groups[1].known
    assert groups[0].arrays.probs.shape == (4, 2, 2)


def test_works_take_turns():
    done = []
    first, times = sweeps.in_turns({"a": lambda: done.append("a"), "b": lambda: done.append("b")}, 2)
    assert done == ["a", "b"] * 3
    assert first.keys() == times.keys() == {"a", "b"}
