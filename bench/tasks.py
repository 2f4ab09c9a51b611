"""Answers to tasks, checked and made: 10^5 a second of addition are wanted."""

import numpy as np

from mdmjax.tasks.addition import Addition
from mdmjax.tasks.sudoku import Sudoku
from mdmjax.tasks.sudoku_search import minimal_puzzle

from ._timing import Row, once, seconds

ANSWERS, PUZZLES, ALONE = 100_000, 4096, 16


def checking() -> Row:
    """Against Python's integers, from digits to digits."""
    task = Addition()
    problems = task.problems(0, ANSWERS)
    ours, compiling = seconds(lambda: task.failed(problems.tokens, problems.given))
    rows = [task.decode(row) for row in problems.tokens]

    def by_integers() -> None:
        assert all(int(row[:10]) + int(row[11:21]) == int(row[22:]) for row in rows)

    theirs, _ = seconds(by_integers)
    what = "10^5 sums of 10 digits checked"
    return Row(what, ours, compiling, "Python's integers", theirs, 0.0, f"{ANSWERS / ours:.3g} a second")


def making() -> Row:
    """Against one minimal puzzle for each problem."""
    task = Sudoku(size=9)
    ours = once(lambda: task.problems(0, PUZZLES))
    rng = np.random.default_rng(0)
    theirs = once(lambda: [minimal_puzzle(rng, 9) for _ in range(ALONE)]) * PUZZLES / ALONE
    note = f"{PUZZLES / ours:.3g} a second"
    peer = f"a search for each (scaled from {ALONE})"
    return Row(f"{PUZZLES} Sudokus 9x9 made", ours, 0.0, peer, theirs, 0.0, note)


def run() -> list[Row]:
    return [checking(), making()]
