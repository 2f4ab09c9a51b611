"""The tasks and their options, as the command line has them: the fields of their dataclasses.

They are written out, since the tasks import NumPy and help must not; a test holds both alike.
"""

from .options import Choice, Option

_FLAG = ("yes", "no")

TASK_OPTIONS: dict[str, tuple[str, tuple[Option, ...]]] = {
    "addition": (
        "Sums of two numbers (2602.00286).",
        (
            Option("digits", int, None, "Digits of each number, at most. [10]"),
            Option("uniform", str, None, "Lengths of the numbers are uniform. [no]", choices=_FLAG),
        ),
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
