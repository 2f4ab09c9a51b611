"""What is refused is one printable line of bounded length, whatever the user or a file brought."""

import numpy as np
import pytest

from mdmjax._checks import check_integer, check_number
from mdmjax._errors import InvalidInputError, check_bytes, printable, readable_bytes, refuse, shown

BAD = ["\x1b]0;title\x07", "a\nb", "a\u2028b", "\u202egpj", "\x85", "\udcff", "\x00", "\x7f"]


def message(function, *arguments):
    with pytest.raises(InvalidInputError) as error:
        function(*arguments)
    return str(error.value)


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("place", range(4))
def test_every_part_of_a_message_is_printable(text, place):
    parts = ["argument", "value", "wanted", "remedy"]
    parts[place] = f"x{text}y"
    line = message(refuse, *parts)
    assert line.isprintable()
    assert line.encode().isascii()


def test_letters_of_any_language_stay():
    assert printable("größe λ 文字") == "größe λ 文字"


def test_values_of_any_length_are_cut_in_their_middle():
    assert len(shown("x" * 10**5)) <= 60
    assert shown("begin" + "x" * 100 + "end").startswith("begin")
    assert shown("begin" + "x" * 100 + "end").endswith("end")
    assert len(message(refuse, "cell", "x" * 10**5, "y" * 10**5, "z" * 10**5)) < 1600
    path = "/a/folder/of/some/length" * 7 + "/model.safetensors"
    assert f"{path} with depth 3" in message(refuse, "model", f"{path} with depth 3", "another")


def test_numbers_that_python_does_not_print_are_said():
    assert message(refuse, "steps", 10**5000, "fewer") == "steps is 2^16609 and more: want fewer"
    assert "2^16609 and more" in message(check_number, "clip", 10**5000, "a number", lambda x: x > 0)


@pytest.mark.parametrize("value", [1.5, "x", None, float("inf"), True, 0, -1, [1]])
def test_what_is_no_integer_of_its_range_is_refused(value):
    assert message(check_integer, "depth", value, 1).endswith(": want an integer >= 1")


@pytest.mark.parametrize("value", ["x", "1", None, float("inf"), float("nan"), True, 0, -1.5, 1j, [1.0]])
def test_what_is_no_number_of_its_range_is_refused(value):
    words = "a positive number"
    assert message(check_number, "clip", value, words, lambda x: x > 0).endswith(f": want {words}")


@pytest.mark.parametrize("value", [1, 2.5, np.float32(2), np.int64(3)])
def test_numbers_pass(value):
    assert check_number("clip", value, "a positive number", lambda x: x > 0) == value
    assert check_integer("n", np.int64(3), 1) == 3


def test_bytes_are_said_in_the_largest_unit():
    counts = [0, 1023, 1024, 3 * 2**30, 2**60, 2**2000]
    wanted = ["0 bytes", "1023 bytes", "1.0 KiB", "3.0 GiB", "1.02e+03 PiB", "2^1950 PiB"]
    assert [readable_bytes(count) for count in counts] == wanted


def test_bytes_over_the_limit_are_refused_with_both_numbers():
    assert check_bytes(2**30, 2**30, "law", "fewer") is None
    assert message(check_bytes, 3 * 2**30, 2**30, "law", "use fewer") == (
        "law is of 3.0 GiB: want at most 1.0 GiB; use fewer"
    )
