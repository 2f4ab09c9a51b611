"""Grids: checkers and uniqueness against searches written from the rules, propagation against sets."""

import itertools

import numpy as np
import pytest

from mdmjax._errors import InvalidInputError
from mdmjax.tasks.matrix import Matrix
from mdmjax.tasks.propagation import order_of, propagated
from mdmjax.tasks.sudoku import Sudoku
from mdmjax.tasks.sudoku_search import minimal_puzzle, solutions


def units(size):
    """The rows, columns and boxes as lists of cells."""
    side = int(size**0.5)
    rows = [[(r, c) for c in range(size)] for r in range(size)]
    columns = [[(r, c) for r in range(size)] for c in range(size)]
    corners = itertools.product(range(0, size, side), repeat=2)
    steps = list(itertools.product(range(side), repeat=2))
    boxes = [[(r + i, c + j) for i, j in steps] for r, c in corners]
    return rows, columns, boxes


def count_slowly(grid, size, most=2):
    """Solutions of a dict of known cells, found by trying every symbol in the first blank."""
    blank = next((cell for cell in itertools.product(range(size), repeat=2) if cell not in grid), None)
    if blank is None:
        return 1
    peers = [cell for kind in units(size) for unit in kind if blank in unit for cell in unit]
    found = 0
    for symbol in range(size):
        if all(grid.get(cell) != symbol for cell in peers):
            found += count_slowly(grid | {blank: symbol}, size, most - found)
            if found >= most:
                break
    return found


def known_cells(tokens, given, size):
    return {divmod(i, size): int(tokens[i]) for i in np.flatnonzero(given)}


def depths_slowly(grid, size, hidden):
    """Candidates at the start and rounds, with sets."""
    every = list(itertools.product(range(size), repeat=2))
    depth, first = dict.fromkeys(grid, 0), {}
    for number in itertools.count(1):
        free = {}
        for cell in every:
            if cell not in grid:
                seen = {grid.get(o) for kind in units(size) for unit in kind if cell in unit for o in unit}
                free[cell] = set(range(size)) - seen
        first = first or {cell: len(free.get(cell, ())) for cell in every}
        new = {cell: min(symbols) for cell, symbols in free.items() if len(symbols) == 1}
        for unit in itertools.chain(*units(size)) if hidden else ():
            for symbol in range(size):
                places = [cell for cell in unit if symbol in free.get(cell, ())]
                if len(places) == 1:
                    new[places[0]] = symbol
        if not new:
            break
        grid = grid | new
        depth |= dict.fromkeys(new, number)
    cells = [(first[cell], depth.get(cell, size * size)) for cell in every]
    return map(list, zip(*cells, strict=True))


@pytest.fixture(scope="module")
def large():
    """Puzzles of 9x9, 32 each from a minimal one."""
    return Sudoku(size=9).draw(np.random.default_rng(3), 320)


@pytest.mark.parametrize("clues", [0, 12])
def test_a_small_sudoku_has_one_solution(clues):
    problems = Sudoku(size=4, clues=clues).problems(3, 60)
    check_one_solution(problems, 4)
    if clues:
        assert set(problems.given.sum(axis=1).tolist()) == {clues}


def test_a_large_sudoku_has_one_solution(large):
    some = np.flatnonzero(large.given.sum(axis=1) > 38)[:6]
    check_one_solution([column[some] for column in large], 9)


@pytest.mark.slow
def test_hard_sudokus_have_one_solution(large):
    hard = np.flatnonzero(large.kind > 0)[:5]
    check_one_solution([column[hard] for column in large], 9)


def check_one_solution(problems, size):
    for tokens, given in zip(*problems[:2], strict=True):
        assert count_slowly(known_cells(tokens, given, size), size) == 1
        (found,) = solutions(np.where(given, tokens + 1, 0).tolist(), size, 2)
        assert np.array_equal(found, tokens)


@pytest.mark.parametrize(("size", "some"), [(4, 20), (9, 1)])
def test_no_clue_of_a_minimal_puzzle_can_be_left_out(size, some):
    for seed in range(some):
        grid, clues = minimal_puzzle(np.random.default_rng(seed), size)
        cells = np.where(clues, grid + 1, 0)
        assert len(solutions(cells.tolist(), size, 2)) == 1
        for cell in np.flatnonzero(clues):
            fewer = cells.copy()
            fewer[cell] = 0
            assert len(solutions(fewer.tolist(), size, 2)) == 2


def test_the_288_grids_are_found_and_drawn():
    found = solutions([0] * 16, 4, 1000)
    assert len(found) == len({tuple(grid) for grid in found}) == 288
    drawn = np.unique(Sudoku(size=4).problems(0, 4096).tokens, axis=0)
    assert {tuple(grid) for grid in drawn.tolist()} == {tuple(grid) for grid in found}


@pytest.mark.parametrize("size", [4, 9])
def test_the_check_of_a_sudoku_is_that_of_sets(size, large):
    task, rng = Sudoku(size=size), np.random.default_rng(1)
    problems = large if size == 9 else task.problems(1, 200)
    tokens = problems.tokens[:200].copy()
    for row in tokens[::2]:  # in one half, two cells change places, once or twice
        for _ in range(rng.integers(1, 3)):
            a, b = rng.integers(0, size * size, 2)
            row[[a, b]] = row[[b, a]]
    tokens[::10] = rng.integers(0, size, tokens[::10].shape)
    for row, failed in zip(tokens, task.failed(tokens, problems.given[:200]), strict=True):
        right = [all(len({row[r * size + c] for r, c in u}) == size for u in kind) for kind in units(size)]
        assert failed == (-1 if all(right) else right.index(False))


@pytest.mark.parametrize(("size", "some"), [(4, 40), (9, 4)])
@pytest.mark.parametrize("hidden", [True, False])
def test_propagation_is_that_of_sets(size, some, hidden):
    puzzles = [minimal_puzzle(np.random.default_rng(seed), size) for seed in range(some)]
    tokens = np.array([grid for grid, _ in puzzles], np.uint8)
    given = np.array([clues for _, clues in puzzles])
    found = propagated(tokens, given, size, hidden=hidden)
    for row in range(some):
        candidates, depth = depths_slowly(known_cells(tokens[row], given[row], size), size, hidden)
        assert found.candidates[row].tolist() == candidates
        assert found.depth[row].tolist() == depth
    order = order_of(found)
    assert np.array_equal(np.sort(order, axis=1), np.tile(np.arange(size * size), (some, 1)))
    along = np.take_along_axis(found.depth, order, 1)
    assert np.all(np.diff(along, axis=1) >= 0)


def test_kinds_of_sudokus(large):
    assert set(large.kind.tolist()) == {0, 1, 2}
    naked = propagated(large.tokens, large.given, 9, hidden=False).depth.max(axis=1)
    assert np.array_equal(large.kind == 0, naked < 81)
    both = propagated(large.tokens, large.given, 9).depth.max(axis=1)
    assert np.array_equal(large.kind == 2, both == 81)
    counts = np.sort(large.given.sum(axis=1))
    assert counts[-1] == 60
    assert counts[0] < 30


@pytest.mark.parametrize(
    ("task", "text", "message"),
    [
        (Sudoku(size=4), "1... .... .... ....", "it has several"),
        (Sudoku(size=4), "11.. .... .... ....", "it has none"),
        (Sudoku(size=4), "123. ...4 .... ....", "it has none"),
        (Sudoku(size=4), "1234", "16 cells"),
        (Sudoku(size=4), "1x.. .... .... ....", "'x' is no symbol of sudoku"),
        (Matrix(size=2), "19 91 1", "4 cells"),
        (Matrix(size=2), "12 .1", "it has none"),
        (Matrix(size=2), ".. ..", "have a cycle"),
    ],
)
def test_a_prompt_without_one_solution(task, text, message):
    with pytest.raises(InvalidInputError, match=message):
        task.prompt(text)


def solutions_slowly(tokens, given, size):
    """How many fills of a table have every sum of a row and of a column divisible by ten."""
    blanks = np.flatnonzero(~given)
    fills = np.array(list(itertools.product(range(10), repeat=blanks.size))).reshape(-1, blanks.size)
    tables = np.tile(tokens.astype(int), (len(fills), 1))
    tables[:, blanks] = fills
    tables = tables.reshape(-1, size, size)
    good = (tables.sum(1) % 10 == 0).all(1) & (tables.sum(2) % 10 == 0).all(1)
    return good.sum(), tables[good].reshape(-1, size * size)


def test_a_matrix_has_one_solution_if_and_only_if_its_blanks_have_no_cycle():
    task, rng = Matrix(size=3), np.random.default_rng(0)
    tokens = task.problems(0, 60).tokens
    for table in tokens:
        given = np.ones(9, bool)
        given[rng.choice(9, 4, replace=False)] = False
        number, _ = solutions_slowly(table, given, 3)
        assert (number == 1) == (task.rounds(given[None]).max() < 9)
        text, _ = task.to_text(table, given)
        if number == 1:
            assert task.prompt(text)[1].tolist() == given.tolist()
        else:
            with pytest.raises(InvalidInputError, match="one solution"):
                task.prompt(text)


def test_problems_of_a_matrix():
    task = Matrix(size=3)
    problems = task.problems(0, 1024)
    assert set((~problems.given).sum(axis=1).tolist()) == {1, 2, 3, 4, 5}
    for tokens, given in zip(problems.tokens[:40], problems.given[:40], strict=True):
        number, found = solutions_slowly(tokens, given, 3) if (~given).sum() < 5 else (1, tokens[None])
        assert number == 1
        assert np.array_equal(found[0], tokens)
    wrong = problems.tokens.copy()
    wrong[np.arange(1024), np.arange(1024) % 9] += 1
    assert set(task.failed(wrong % 10, problems.given).tolist()) == {0}
    swapped = problems.tokens.reshape(-1, 3, 3).copy()
    swapped[:, 0] = swapped[:, 0, ::-1]
    rows = (swapped.sum(axis=1, dtype=int) % 10 == 0).all(axis=1)
    failed = task.failed(swapped.reshape(-1, 9), problems.given)
    assert np.array_equal(failed == -1, rows)
    assert set(failed.tolist()) == {-1, 1}
