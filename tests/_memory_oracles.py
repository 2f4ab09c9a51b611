"""Slow laws from the definition, in plain Python: of decoders that remember, and of later ones."""

import itertools
import math
from fractions import Fraction

import numpy as np
from _oracles import entropy_by_loop, table_conditionals


def rows_of_table(table):
    """The conditionals of a table at a tuple of tokens, each found once."""
    known = {}

    def rows_of(tokens):
        if tokens not in known:
            known[tokens] = table_conditionals(table, tokens).tolist()
        return known[tokens]

    return rows_of


def remembering_law(n, q, step_of, memory, start=None, max_steps=10**6):
    """The table of outputs, the distribution of the number of steps, and when each position last changed.

    `step_of(tokens, memory, step)` is a list of (probability, tokens after, memory after), or None where
    the sampler has ended. States are never merged unless they are the same in everything. The fourth is the
    mass that has not ended after `max_steps`.
    """
    start = [(1.0, (q,) * n)] if start is None else start
    masses = {(tokens, memory, (None,) * n): share for share, tokens in start if share > 0}
    law, steps, last = np.zeros((q,) * n), [], [{} for _ in range(n)]
    for step in range(max_steps + 1):
        following, ended = {}, 0.0
        for (tokens, memory, when), mass in masses.items():
            outcomes = step_of(tokens, memory, step)
            if outcomes is None:
                law[tokens] += mass
                ended += mass
                for changes, t in zip(last, when, strict=True):
                    changes[t] = changes.get(t, 0.0) + mass
                continue
            for share, after, remembered in outcomes:
                if share > 0:
                    after = tuple(after)
                    now = tuple(step if a != b else t for a, b, t in zip(after, tokens, when, strict=True))
                    key = after, remembered, now
                    following[key] = following.get(key, 0.0) + mass * share
        steps.append(ended)
        if step == max_steps or not following:
            return law, np.array(steps), last, sum(following.values())
        masses = following
    raise AssertionError


def credit_step(q, rows_of, choose, strength, decay, boost):
    """Rows raised by credits, which decay and grow; what `choose(rows, masked)` takes of them is drawn."""

    def step_of(tokens, credits, step):
        masked = [i for i, token in enumerate(tokens) if token == q]
        if not masked:
            return None
        rows, grown = rows_of(tokens), [[decay * c for c in row] for row in credits]
        for i in masked:
            best = max(range(q), key=lambda a, i=i: (round(rows[i][a], 12), -a))
            grown[i][best] += max(rows[i]) ** boost
        raised = []
        for row, credit in zip(rows, grown, strict=True):
            weights = [p * (1 + c) ** strength for p, c in zip(row, credit, strict=True)]
            raised.append([w / sum(weights) for w in weights])
        chosen, remembered = sorted(choose(raised, masked)), tuple(map(tuple, grown))
        outcomes = []
        for word in itertools.product(range(q), repeat=len(chosen)):
            after = list(tokens)
            for i, a in zip(chosen, word, strict=True):
                after[i] = a
            share = math.prod(raised[i][a] for i, a in zip(chosen, word, strict=True))
            outcomes.append((share, after, remembered))
        return outcomes

    return step_of


def coral_weights(forward, backward):
    """From the authors' code: a list for the offsets `-backward..forward` of a target from its source."""
    ahead = [math.exp(-8 * x) for x in range(forward)]
    if backward < 1:
        return [ahead[0] / 10, *ahead]
    exponents = [*range(backward - 2, -1, -1), 1, 2]
    return [math.exp(-x / 8) for x in exponents[-backward - 1 :]] + ahead


def coral_step(n, q, rows_of, block, forward, backward, repeats, greedy):
    """Sources in turn, each with its predictions; counts of how often a prefix was written alike."""
    weights = coral_weights(forward, backward)

    def step_of(tokens, counts, step):
        fixed = next((i for i in range(n) if counts[i] <= repeats), n)
        if fixed == n:
            return None
        written = next((i for i in range(n) if tokens[i] == q), n)
        end = min(written - 1 + forward, fixed + block - 1, n - 1)
        logs = {i: [0.0] * q for i in range(fixed, end + 1)}
        for source in range(fixed - 1, written):
            for k, weight in enumerate(weights):
                target = source - backward + k
                if target in logs:
                    seen = tuple(t if j <= source and j != target else q for j, t in enumerate(tokens))
                    for a, p in enumerate(rows_of(seen)[target]):
                        logs[target][a] += weight * math.log(p)
        rows, total = {}, 0.0
        for target, values in logs.items():
            total = sum(
                weights[target - source + backward]
                for source in range(fixed - 1, written)
                if 0 <= target - source + backward < len(weights)
            )
            unnormalised = [math.exp(value / total) for value in values]
            rows[target] = [p / sum(unnormalised) for p in unnormalised]
            if greedy:
                rows[target] = [float(a == int(np.argmax(unnormalised))) for a in range(q)]
        outcomes = []
        for word in itertools.product(range(q), repeat=len(rows)):
            after, share = list(tokens), 1.0
            for (i, row), a in zip(rows.items(), word, strict=True):
                after[i], share = a, share * row[a]
            same = next((i for i in range(written) if after[i] != tokens[i]), written)
            now = [counts[i] + 1 if i < same else int(after[i] != q) for i in range(n)]
            outcomes.append((share, after, tuple(now)))
        return outcomes

    return step_of


def gibbs_step(q, rows_of, width, steps):
    """Every set of `width` positions with the same chance, and every word of it and of what is masked."""

    def step_of(tokens, memory, step):
        if step == steps:
            return None
        sets, outcomes = list(itertools.combinations(range(len(tokens)), width)), []
        for chosen in sets:
            hidden = tuple(q if i in chosen else t for i, t in enumerate(tokens))
            places, rows = [i for i, t in enumerate(hidden) if t == q], rows_of(hidden)
            for word in itertools.product(range(q), repeat=len(places)):
                after = list(hidden)
                for i, a in zip(places, word, strict=True):
                    after[i] = a
                share = math.prod(rows[i][a] for i, a in zip(places, word, strict=True))
                outcomes.append((share / len(sets), after, memory))
        return outcomes

    return step_of


def window_choice(rows, masked, width, threshold, penalty):
    """The masked positions of the window that pass, or its best."""
    window = [i for i in masked if i < masked[0] + width]
    nats = {i: entropy_by_loop(rows[i]) + penalty * (i - masked[0]) for i in window}
    passed = {i for i in window if nats[i] < threshold}
    return passed or {min(window, key=lambda i: (round(nats[i], 12), i))}


def halton_cells(rows, columns):
    """Points one by one, their coordinates as fractions; a cell counts when it is met first."""

    def inverse(i, base):
        value, unit = Fraction(0), Fraction(1, base)
        while i:
            value, unit, i = value + i % base * unit, unit / base, i // base
        return value

    found, i = [], 0
    while len(found) < rows * columns:
        i += 1
        cell = math.floor(inverse(i, 2) * rows) * columns + math.floor(inverse(i, 3) * columns)
        if cell not in found:
            found.append(cell)
    return found
