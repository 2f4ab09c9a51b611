"""The tasks and their options, as the command line has them: the fields of their dataclasses.

They are written out, since the tasks import NumPy and help must not; a test holds both alike.
"""

from .options import Choice, Option

_FLAG = ("yes", "no")


def _int(name: str, default: int, help: str) -> Option:
    return Option(name, int, None, f"{help} [{default}]")


TASK_OPTIONS: dict[str, tuple[str, tuple[Option, ...]]] = {
    "addition": (
        "Sums of two numbers (2602.00286).",
        (
            _int("digits", 10, "Digits of each number, at most."),
            Option("uniform", str, None, "Lengths of the numbers are uniform. [no]", choices=_FLAG),
        ),
    ),
    "sudoku": (
        "Sudoku with one solution, its blanks to be filled in.",
        (_int("size", 9, "Rows: 4 or 9."), _int("clues", 0, "Cells that are given; 0: as the task draws.")),
    ),
    "latin": (
        "Any Latin square of the symbols that are given (2510.04767).",
        (_int("size", 4, "Rows."), _int("letters", 36, "Symbols that there are.")),
    ),
    "lists": (
        "Copy, reverse, sort, shuffle, replace, insert, remove (2510.04767).",
        (
            Option("operation", str, None, "What is done to a list. [copy]"),
            _int("least", 3, "Elements of a list, at least."),
            _int("most", 6, "And at most."),
            _int("letters", 26, "Symbols that there are."),
        ),
    ),
    "matrix": (
        "A table whose rows and columns sum to multiples of ten (ours).",
        (_int("size", 4, "Rows."), _int("blanks", 0, "Cells to be filled in; 0: as the task draws.")),
    ),
}
"""Of every task by name what it is, and its options; those not given are `None`."""

OF_TRAINING = (
    Option("problems", int, 2**17, "Problems to train on, kept on the device: 2 bytes a position."),
    Option("reverse", bool, False, "Answers are written backwards, as NanoAdder's reversed sums are."),
)

TRAINED_TASKS = tuple(
    Choice(f"task:{name}", help, (*options, *OF_TRAINING)) for name, (help, options) in TASK_OPTIONS.items()
)
"""Tasks to train on: the answers alone are learned, after their prompts."""
