"""The exact laws against NumPy that propagates one state at a time, as a reader would write it."""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from mdmjax import (
    BlockHMM,
    Joint,
    Oracle,
    RandomSubset,
    Ranked,
    Reveal,
    Schedule,
    exact_law,
    negative_entropy,
    optimal_policy_frontier,
)
from mdmjax.laws import frontier
from mdmjax.laws.block_decoding import block_decoding, block_decoding_estimate
from mdmjax.laws.dense import dense_law

from ._timing import Row, once, seconds

GOAL = 50.0
"""How many times faster than the propagation by states the laws are meant to be."""

ETAS = (1e-8, 1e-6, 1e-4, 1e-2, 0.1)

Tokens = tuple[int, ...]
Sets = Callable[[dict[int, np.ndarray], int], list[tuple[int, ...]]]


def random_joint(n: int) -> Joint:
    return Joint(jnp.asarray(np.random.default_rng(n).dirichlet(np.ones(2**n)).reshape((2,) * n)))


def marginals_of(table: np.ndarray) -> np.ndarray:
    """The probability of every partial assignment: the sum over a position at index `q`."""
    for axis in range(table.ndim):
        table = np.concatenate([table, table.sum(axis, keepdims=True)], axis)
    return table


def by_states(table: np.ndarray, counts: list[int], sets: Sets) -> tuple[np.ndarray, list[int]]:
    """The law of revealing one of `sets(rows, count)`, each equally likely; and the states of each step."""
    n, q = table.ndim, table.shape[0]
    marginals = marginals_of(table)
    masses: dict[Tokens, float] = {(q,) * n: 1.0}
    visited = []
    for count in counts:
        after: dict[Tokens, float] = defaultdict(float)
        for tokens, mass in masses.items():
            whole = marginals[tokens]
            rows = {
                i: marginals[(*tokens[:i], slice(q), *tokens[i + 1 :])] / whole
                for i in range(n)
                if tokens[i] == q
            }
            choices = sets(rows, count)
            for chosen in choices:
                weights = np.array(mass / len(choices))
                for i in chosen:
                    weights = np.multiply.outer(weights, rows[i])
                outcome = list(tokens)
                for word, weight in zip(
                    itertools.product(range(q), repeat=count), weights.ravel().tolist(), strict=True
                ):
                    for i, symbol in zip(chosen, word, strict=True):
                        outcome[i] = symbol
                    after[tuple(outcome)] += weight
        visited.append(len(masses))
        masses = after
    law = np.zeros_like(table)
    for tokens, mass in masses.items():
        law[tokens] = mass
    return law, visited


def any_set(rows: dict[int, np.ndarray], count: int) -> list[tuple[int, ...]]:
    return list(itertools.combinations(rows, count))


def most_certain(rows: dict[int, np.ndarray], count: int) -> list[tuple[int, ...]]:
    """The lowest entropies; the lowest positions among equals."""
    entropies = {i: round(-float(np.sum(row * np.log(row))), 12) for i, row in rows.items()}
    return [tuple(sorted(sorted(rows, key=entropies.__getitem__)[:count]))]


@lru_cache
def most_certain_first(*counts: int) -> Reveal:
    return Reveal(Ranked(negative_entropy, Schedule(counts)))


def easy_first(joint: Joint, counts: list[int]) -> jax.Array:
    return dense_law(Oracle(joint), most_certain_first(*counts)).probs


def random_order(joint: Joint, counts: list[int]) -> jax.Array:
    return exact_law(Oracle(joint), Reveal(RandomSubset(Schedule(counts)))).probs


def against_states(
    what: str,
    law: Callable[[Joint, list[int]], jax.Array],
    sets: Sets,
    counts: list[int],
    goal: float = 0.0,
) -> Row:
    joint = random_joint(sum(counts))
    ours, compile_time = seconds(lambda: law(joint, counts), runs=9)
    found: list[tuple[np.ndarray, list[int]]] = []
    theirs = once(lambda: found.append(by_states(np.asarray(joint.probs), counts, sets)))
    by_peer, visited = found[0]
    error, states = np.max(np.abs(by_peer - np.asarray(law(joint, counts)))), sum(visited)
    note = (
        f"{states / ours:.3g} states/s against {states / theirs:.3g}; "
        f"{8 * max(visited) / 2**10:.3g} KiB of masses at most; differs by at most {error:.0e}"
    )
    return Row(what, ours, compile_time, "NumPy, by states", theirs, goal, note)


def many_laws(
    what: str, decoder: Reveal, sets: Sets, counts: list[int], batch: int, count: int = 1024
) -> list[Row]:
    """The KLs of the laws of many joints in one mapped call, against the general way and NumPy, scaled."""
    n, few = sum(counts), 16
    rows = np.random.default_rng(n).dirichlet(np.ones(2**n), count).reshape(count, *(2,) * n)
    joints = jnp.asarray(rows)
    kl = lambda table: dense_law(Oracle(Joint(table)), decoder).kl(table)
    mapped = jax.jit(lambda tables: jax.lax.map(kl, tables, batch_size=batch))
    ours, compile_time = seconds(lambda: mapped(joints), runs=5)
    general = lambda table: frontier.plan(Oracle(Joint(table)), decoder, None, 2**20, 2**12)().kl(table)
    theirs = seconds(lambda: [general(table) for table in joints[:few]], runs=3)[0] * count / few
    found: list[np.ndarray] = []
    slow = (
        once(lambda: found.extend(by_states(table, counts, sets)[0] for table in rows[:few])) * count / few
    )
    by_peer = np.array([np.sum(p * np.log(p / law)) for p, law in zip(rows, found, strict=False)])
    error = np.max(np.abs(by_peer - np.asarray(mapped(joints))[:few]))
    note = f"{count / ours:.3g} laws/s; the other side scaled from {few}; KLs differ by at most {error:.0e}"
    what = f"{count} laws, n = {n}, {what}"
    return [
        Row(what, ours, compile_time, "our general way", theirs, GOAL, note),
        Row(what, ours, compile_time, "NumPy, by states", slow, GOAL, note),
    ]


def bellman_by_states(table: np.ndarray, max_steps: int) -> list[float]:
    """The least KL for at most `1..max_steps` calls: for each state and each set, over its outcomes."""
    n, q = table.ndim, table.shape[0]
    marginals = marginals_of(table)
    states = list(itertools.product(range(q + 1), repeat=n))
    values = dict.fromkeys(states, math.inf) | dict.fromkeys(itertools.product(range(q), repeat=n), 0.0)
    best = []
    for _ in range(max_steps):
        after = {}
        for tokens in states:
            masked, least = [i for i in range(n) if tokens[i] == q], math.inf
            for count in range(1, len(masked) + 1):
                for chosen in itertools.combinations(masked, count):
                    pick = tuple(slice(q) if i in chosen else tokens[i] for i in range(n))
                    outcomes = marginals[pick] / marginals[tokens]
                    product = np.array(1.0)
                    for axis in range(count):
                        others = tuple(a for a in range(count) if a != axis)
                        product = np.multiply.outer(product, outcomes.sum(others))
                    future = 0.0
                    for word, weight in np.ndenumerate(outcomes):
                        following = list(tokens)
                        for i, symbol in zip(chosen, word, strict=True):
                            following[i] = symbol
                        future += weight * values[tuple(following)]
                    least = min(least, float(np.sum(outcomes * np.log(outcomes / product))) + future)
            after[tokens] = least if masked else 0.0
        values = after
        best.append(values[(q,) * n])
    return best


def best_policies(n: int = 10, small: int = 5) -> Row:
    joint = random_joint(n)
    ours, compile_time = seconds(lambda: optimal_policy_frontier(joint, n), runs=3)
    few = random_joint(small)
    found: list[list[float]] = []
    theirs = once(lambda: found.append(bellman_by_states(np.asarray(few.probs), small)))
    error = np.max(np.abs(np.array(found[0]) - np.asarray(optimal_policy_frontier(few, small))))
    theirs *= n * 4**n / (small * 4**small)
    note = (
        f"{n * 4**n / ours:.3g} pairs/s; NumPy at n = {small}, scaled by its pairs; differs by {error:.0e}"
    )
    return Row(f"Bellman, every k <= n = {n}", ours, compile_time, "NumPy, by states", theirs, 0.0, note)


def blocks(samples: int = 20000) -> Row:
    models = [BlockHMM(eta=eta) for eta in ETAS]
    ours, compile_time = seconds(lambda: [block_decoding(m).forward_kl for m in models], runs=1)
    keys = jax.random.split(jax.random.key(0), len(ETAS))
    theirs = seconds(
        lambda: [block_decoding_estimate(k, m, samples) for k, m in zip(keys, models, strict=True)], runs=1
    )[0]
    guesses = [block_decoding_estimate(k, m, samples) for k, m in zip(keys, models, strict=True)]
    errors = [float(guess.stderr["forward_kl"] / guess.estimate.forward_kl) for guess in guesses]
    note = f"the estimate's standard error is up to {max(errors):.1e} of the KL; ours draws nothing"
    what = f"block decoding, {models[0].n} bits, {len(ETAS)} etas"
    return Row(what, ours, compile_time, f"{samples} samples", theirs, 0.0, note)


def run() -> list[Row]:
    return [
        against_states("random order, n = 10, one at a time", random_order, any_set, [1] * 10, GOAL),
        against_states("random order, n = 10, two at a time", random_order, any_set, [2] * 5, GOAL),
        against_states("easy first, n = 10", easy_first, most_certain, [1] * 10, 10.0),
        against_states("random order, n = 12, one at a time", random_order, any_set, [1] * 12),
        against_states("easy first, n = 16", easy_first, most_certain, [1] * 16, 20.0),
        *many_laws("random order", Reveal(RandomSubset(Schedule([2] * 4))), any_set, [2] * 4, 16),
        *many_laws("easy first", most_certain_first(*[1] * 8), most_certain, [1] * 8, 1024),
        best_policies(),
        blocks(),
    ]
