"""Slow oracles in plain NumPy, straight from the definitions; they share no code with mdmjax."""

import itertools
import math
from fractions import Fraction

import numpy as np
from scipy.optimize import linprog

# Distributions: dense tables from the definitions, and what a table says of a partial assignment.


def partial_assignments(n, q):
    """Every sequence of `n` digits `0..q`, where `q` is the mask."""
    return np.array(list(itertools.product(range(q + 1), repeat=n)))


def table_marginal(table, tokens):
    """p(x_S) by summing the entries that agree."""
    q = table.shape[0]
    total = 0.0
    for word in itertools.product(range(q), repeat=table.ndim):
        if all(t in (q, w) for t, w in zip(tokens, word, strict=True)):
            total += table[word]
    return total


def table_conditionals(table, tokens):
    """p(x_i = a | x_S) by summing the entries that agree; NaN where none has any weight."""
    q = table.shape[0]
    sums = np.zeros((table.ndim, q))
    for word in itertools.product(range(q), repeat=table.ndim):
        if all(t in (q, w) for t, w in zip(tokens, word, strict=True)):
            for i, symbol in enumerate(word):
                sums[i, symbol] += table[word]
    total = sums[0].sum()
    return sums / total if total > 0 else np.full_like(sums, np.nan)


def block_word_probability(word, rho, eta):
    """p(block | state): the parity bit first, flipped with probability eta, then the content."""
    parity = sum(word[1:]) % 2
    probability = eta if word[0] != parity else 1 - eta
    for bit in word[1:]:
        probability = probability * (rho if bit else 1 - rho)
    return probability


def block_hmm_probability(word, initial, transition, emission, eta, block_size):
    """p(word) by a sum over every path of hidden states; exact when given Fractions."""
    parts = [word[i : i + block_size] for i in range(0, len(word), block_size)]
    total = 0
    for path in itertools.product(range(len(initial)), repeat=len(parts)):
        probability = initial[path[0]]
        for z, following in itertools.pairwise(path):
            probability = probability * transition[z][following]
        for z, part in zip(path, parts, strict=True):
            probability = probability * block_word_probability(part, emission[z], eta)
        total = total + probability
    return total


def block_hmm_table(initial, transition, emission, eta, blocks, block_size):
    """The dense table of a Block-HMM."""
    n = blocks * block_size
    table = np.zeros((2,) * n)
    for word in itertools.product(range(2), repeat=n):
        table[word] = block_hmm_probability(word, initial, transition, emission, eta, block_size)
    return table


def block_hmm_fraction_conditionals(tokens, initial, transition, emission, eta, block_size):
    """p(x_i = a | x_S) of a Block-HMM in exact rational arithmetic, rounded at the end."""
    exact = [Fraction(float(p)) for p in initial]
    rows = [[Fraction(float(p)) for p in row] for row in transition]
    bias, noise = [Fraction(float(p)) for p in emission], Fraction(float(eta))
    sums = [[Fraction(0), Fraction(0)] for _ in tokens]
    choices = [(0, 1) if t == 2 else (int(t),) for t in tokens]
    for word in itertools.product(*choices):
        probability = block_hmm_probability(word, exact, rows, bias, noise, block_size)
        for i, bit in enumerate(word):
            sums[i][bit] += probability
    total = sum(sums[0])
    return np.array([[float(p / total) for p in row] for row in sums])


def block_hmm_conditionals(tokens, initial, transition, emission, eta, blocks, block_size):
    """p(x_i = a | x_S) by forward-backward over blocks, each summed over its 2^B words."""
    words = list(itertools.product(range(2), repeat=block_size))
    states = len(initial)
    agree = np.zeros((blocks, len(words)))
    for b in range(blocks):
        part = tokens[b * block_size : (b + 1) * block_size]
        for w, word in enumerate(words):
            agree[b, w] = all(t in (2, bit) for t, bit in zip(part, word, strict=True))
    emit = np.array([[block_word_probability(w, rho, eta) for w in words] for rho in emission])
    likelihood = agree @ emit.T
    forward, backward = np.zeros((blocks, states)), np.ones((blocks, states))
    for b in range(blocks):
        forward[b] = initial if b == 0 else (forward[b - 1] * likelihood[b - 1]) @ transition
        forward[b] /= forward[b].sum()
    for b in range(blocks - 2, -1, -1):
        backward[b] = transition @ (likelihood[b + 1] * backward[b + 1])
        backward[b] /= backward[b].sum()
    result = np.zeros((blocks * block_size, 2))
    for b in range(blocks):
        posterior = ((forward[b] * backward[b]) @ emit) * agree[b]
        for w, word in enumerate(words):
            for i, bit in enumerate(word):
                result[b * block_size + i, bit] += posterior[w]
    return result / result.sum(1, keepdims=True)


def chain_table(initial, transition, n):
    """The dense table of a Markov chain."""
    q = len(initial)
    table = np.zeros((q,) * n)
    for word in itertools.product(range(q), repeat=n):
        probability = initial[word[0]]
        for a, b in itertools.pairwise(word):
            probability = probability * transition[a][b]
        table[word] = probability
    return table


def mixture_table(weights, probs):
    """The dense table of a mixture of products."""
    _, n, q = np.shape(probs)
    table = np.zeros((q,) * n)
    for word in itertools.product(range(q), repeat=n):
        for weight, part in zip(weights, probs, strict=True):
            table[word] += weight * np.prod([part[i][a] for i, a in enumerate(word)])
    return table


FIELD_MODULI = {
    2: (2, (0, 1)),
    3: (3, (0, 1)),
    4: (2, (1, 1, 1)),
    5: (5, (0, 1)),
    8: (2, (1, 1, 0, 1)),
    9: (3, (1, 0, 1)),
    256: (2, (1, 1, 0, 1, 1, 0, 0, 0, 1)),
}
"""Prime and modulus (coefficients from x^0 up) of some fields; the last is that of AES."""


def field_multiply(a, b, q):
    """The product in GF(q) by school multiplication and division of polynomials."""
    p, modulus = FIELD_MODULI[q]
    m = len(modulus) - 1
    first, second = ([x // p**k % p for k in range(m)] for x in (a, b))
    product = [0] * (2 * m - 1)
    for i, c in enumerate(first):
        for j, d in enumerate(second):
            product[i + j] += c * d
    for top in range(2 * m - 2, m - 1, -1):
        for k, coefficient in enumerate(modulus):
            if k < m:
                product[top - m + k] -= product[top] * coefficient
        product[top] = 0
    return sum(c % p * p**k for k, c in enumerate(product[:m]))


def field_add(a, b, q):
    """The sum in GF(q): digit by digit."""
    p, modulus = FIELD_MODULI[q]
    return sum((a // p**k + b // p**k) % p * p**k for k in range(len(modulus) - 1))


def code_table(generator, q):
    """The dense table of a uniform message times the generator."""
    dim, n = np.shape(generator)
    table = np.zeros((q,) * n)
    for message in itertools.product(range(q), repeat=dim):
        word = [0] * n
        for symbol, row in zip(message, generator, strict=True):
            for i, entry in enumerate(row):
                word[i] = field_add(word[i], field_multiply(symbol, int(entry), q), q)
        table[tuple(word)] += 1 / q**dim
    return table


def count_windows(arrays, window):
    """How often each window occurs inside the arrays, as a dict."""
    counts = {}
    for array in arrays:
        for i in range(len(array) - window + 1):
            key = tuple(int(s) for s in array[i : i + window])
            counts[key] = counts.get(key, 0) + 1
    return counts


def random_order_laws(probs, counts):
    """Every ordered partition's law: the product over steps of p(x_i | x of the steps before)."""
    probs = np.asarray(probs, dtype=np.float64)
    n, q = probs.ndim, probs.shape[0]

    def marginal(positions, x):
        total = 0.0
        for y in itertools.product(range(q), repeat=n):
            if all(y[i] == x[i] for i in positions):
                total += probs[y]
        return total

    def parts(left, sizes):
        if not sizes:
            yield []
            return
        for first in itertools.combinations(sorted(left), sizes[0]):
            for rest in parts(left - set(first), sizes[1:]):
                yield [first, *rest]

    laws = []
    for partition in parts(set(range(n)), list(counts)):
        law = np.zeros_like(probs)
        for x in itertools.product(range(q), repeat=n):
            if probs[x] == 0:
                continue  # the KL from p does not look there
            value, seen = 1.0, []
            for part in partition:
                context = marginal(seen, x)
                for i in part:
                    value *= marginal([*seen, i], x) / context
                seen = [*seen, *part]
            law[x] = value
        laws.append(law)
    return np.array(laws)


def kl_by_sum(probs, law):
    """sum p log(p / law) over the support of p."""
    support = np.asarray(probs) > 0
    p = np.asarray(probs)[support]
    return float(np.sum(p * np.log(p / law[support])))


def step_gap_by_loops(values, counts):
    """sum over the steps of sum_j (v[N + j] - v[N])."""
    start, total = 0, 0.0
    for count in counts:
        for j in range(count):
            total += float(values[start + j]) - float(values[start])
        start += count
    return total


def all_compositions(n, steps):
    """Every list of `steps` positive integers of sum `n`."""
    for cuts in itertools.combinations(range(1, n), steps - 1):
        edges = [0, *cuts, n]
        yield [b - a for a, b in itertools.pairwise(edges)]


def least_step_gap(values, steps):
    """The least step gap of `steps` steps: best[j] = min_i best[i] + sum of v - v_i over i..j-1."""
    n = len(values)
    total = np.concatenate([[0.0], np.cumsum(np.asarray(values, np.longdouble))])
    best = np.where(np.arange(n + 1) == 0, 0.0, np.inf)
    for _ in range(steps):
        after = np.full(n + 1, np.inf, np.longdouble)
        for end in range(1, n + 1):
            costs = total[end] - total[:end] - (end - np.arange(end)) * values[:end]
            after[end] = np.min(best[:end] + costs)
        best = after
    return float(best[n])


def theorem9_tc_by_appendix(n, zeta):
    """App. D of arXiv 2511.04647: lambda shrinking steps, then single steps; zero steps dropped."""
    if zeta >= n + 1:
        return [1] * n
    ratio = math.inf if zeta == 1 else math.log(1 / (1 - 1 / zeta))
    last = math.floor(math.log(n - zeta + 1) / ratio) + 2
    nodes = [0]
    for _ in range(last):
        nodes.append(nodes[-1] + (n - nodes[-1]) // zeta)
    nodes += range(nodes[-1] + 1, n + 1)
    return [b - a for a, b in itertools.pairwise(nodes) if b > a]


def theorem9_dtc_by_appendix(n, zeta):
    """App. D from the other end: N' -> ceil(N' (1 - 1/zeta)), then single steps to 0, reversed."""
    if zeta >= n + 1:
        return [1] * n
    ratio = math.inf if zeta == 1 else math.log(1 / (1 - 1 / zeta))
    last = math.floor(math.log(n - zeta + 1) / ratio) + 2
    nodes = [n]
    for _ in range(last):
        nodes.append(math.ceil(Fraction(nodes[-1] * (zeta - 1), zeta)))
    nodes += range(nodes[-1] - 1, -1, -1)
    return [b - a for a, b in itertools.pairwise(nodes[::-1]) if b > a]


def dllm_counts_by_rule(n, steps, alpha):
    """dLLM's rule in float32: round(left * (1 - (1-alpha(s))/(1-alpha(t)))), zeros dropped.

    `alpha` takes and gives a float32 array of shape (); s = t - 1/steps, from t = 1 to s = 0.
    """
    one, left, counts = np.float32(1.0), n, []
    for i in range(steps):
        t, s = np.float32((steps - i) / steps), np.float32((steps - i - 1) / steps)
        kept = (one - alpha(np.array(s))) / (one - alpha(np.array(t)))
        assert kept.dtype == np.float32
        count = min(int(np.rint(np.float64(left) * (1.0 - float(kept)))), left)
        counts.append(count)
        left -= count
        if left == 0:
            break
    return [count for count in counts if count > 0]


def information_by_subsets(table):
    """Z_1..Z_n in nats of a table of shape (q,)*n: the mean over S and i of KL(p_iS || p_i p_S).

    In extended precision, so that it can judge a relative error of 1e-12 of a small Z.
    """
    table = np.asarray(table, dtype=np.longdouble)
    table = table / table.sum()
    n = table.ndim
    values = []
    for size in range(n):
        total, pairs = np.longdouble(0), 0
        for revealed in itertools.combinations(range(n), size):
            for target in set(range(n)) - set(revealed):
                others = tuple(set(range(n)) - {target, *revealed})
                joint = table.sum(axis=others)
                position = sum(i < target for i in revealed)
                joint = np.moveaxis(joint, position, 0)
                product = joint.sum(axis=0)[None] * joint.sum(axis=tuple(range(1, size + 1))).reshape(
                    (-1,) + (1,) * size
                )
                cells = joint > 0
                total += np.sum(joint[cells] * np.log(joint[cells] / product[cells]))
                pairs += 1
        values.append(total / pairs)
    return np.array(values)


def marginal_entropy_by_loop(table):
    """The mean entropy of one position, in nats."""
    total = np.longdouble(0)
    for i in range(np.ndim(table)):
        p = np.asarray(table, np.longdouble).sum(axis=tuple(j for j in range(np.ndim(table)) if j != i))
        total -= np.sum(p[p > 0] * np.log(p[p > 0]))
    return total / np.ndim(table)


def uniform_table(words, n, q):
    """The uniform law on a list of words, as a table of shape (q,)*n."""
    table = np.zeros((q,) * n)
    for word in words:
        table[tuple(word)] += 1 / len(words)
    return table


def reed_solomon_words(n, dim, q):
    """The values at 0..n-1 of every polynomial of degree < dim over the prime field F_q."""
    return [
        [sum(c * x**power for power, c in enumerate(coefficients)) % q for x in range(n)]
        for coefficients in itertools.product(range(q), repeat=dim)
    ]


def markov_table(transition, n):
    """n steps of a chain from the limit of its averaged powers, in extended precision."""
    a = np.asarray(transition, dtype=np.longdouble)
    a = a / a.sum(axis=1, keepdims=True)
    lazy = (a + np.eye(len(a))) / 2
    for _ in range(60):
        lazy = lazy @ lazy
        lazy = lazy / lazy.sum(axis=1, keepdims=True)
    table = lazy[0]
    for _ in range(n - 1):
        table = table[..., None] * a
    return table


def identical_mixture_table(weights, probs, n):
    """sum_m w_m P_m x ... x P_m, in extended precision."""
    total = 0
    for weight, row in zip(weights, np.asarray(probs, np.longdouble), strict=True):
        part = np.asarray(weight, np.longdouble)
        for _ in range(n):
            part = np.multiply.outer(part, row)
        total = total + part
    return total


def product_table(tables):
    """Independent blocks, side by side."""
    joint = np.ones(())
    for table in tables:
        joint = np.multiply.outer(joint, table)
    return joint


def bernstein_slope(information, t):
    """h'(t) of h(t) = n sum_j C(n-1, j) t^j (1-t)^(n-1-j) Z_{j+1} (arXiv 2608.13520, Eq. 63)."""
    z = np.asarray(information, dtype=float)
    n = len(z)
    return n * sum(
        math.comb(n - 1, j)
        * z[j]
        * (
            j * t ** max(j - 1, 0) * (1 - t) ** (n - 1 - j)
            - (n - 1 - j) * t**j * (1 - t) ** max(n - 2 - j, 0)
        )
        for j in range(n)
    )


def tse_by_loop(mean_entropies):
    """sum_{k=1}^n H(k) - (k/n) H(n)."""
    n = len(mean_entropies) - 1
    return sum(mean_entropies[k] - k / n * mean_entropies[n] for k in range(1, n + 1))


# Divergences and denoisers: sums over words, contexts and partitions.


def divergences_by_loops(p, r):
    """Every divergence of the truth p and the law r, one outcome at a time."""
    p, r = np.ravel(p), np.ravel(r)
    found = dict.fromkeys(
        ["kl", "reverse_kl", "total_variation", "chi_square", "missed", "invalid", "risk"], 0.0
    )
    overlap = 0.0
    for a, b in zip(p.tolist(), r.tolist(), strict=True):
        if a > 0:
            found["kl"] += a * math.log(a / b) if b > 0 else math.inf
        if b > 0:
            found["reverse_kl"] += b * math.log(b / a) if a > 0 else math.inf
            found["risk"] += -b * math.log(a) if a > 0 else math.inf
        if a != b:
            found["chi_square"] += (a - b) ** 2 / b if b > 0 else math.inf
        found["missed"] += a if b == 0 else 0.0
        found["invalid"] += b if a == 0 else 0.0
        found["total_variation"] += abs(a - b) / 2
        overlap += math.sqrt(a * b)
    found["hellinger"] = math.sqrt(max(0.0, 1 - overlap))
    return found


def block_decoder_law(n, q, rows_of, partition):
    """The law of a decoder that reveals the blocks in turn, `rows_of(tokens)` its probabilities [n, q]."""
    law = np.zeros((q,) * n)
    for word in itertools.product(range(q), repeat=n):
        tokens, value = [q] * n, 1.0
        for block in partition:
            if value > 0:
                rows = rows_of(tuple(tokens))
                value *= math.prod(rows[i][word[i]] for i in block)
            for i in block:
                tokens[i] = word[i]
        law[word] = value
    return law


def partitions_of_sizes(positions, counts):
    """Every ordered partition of the positions into blocks of these sizes."""
    if not counts:
        yield []
        return
    for block in itertools.combinations(sorted(positions), counts[0]):
        for rest in partitions_of_sizes(set(positions) - set(block), counts[1:]):
            yield [block, *rest]


def masked_loss_by_loops(table, rows_of):
    """c(m): the mean over |S| = m, i not in S, x ~ table of -log of the row's entry."""
    n, q = table.ndim, table.shape[0]
    curve = []
    for m in range(n):
        losses = []
        for revealed in itertools.combinations(range(n), m):
            for i in set(range(n)) - set(revealed):
                loss = 0.0
                for word in itertools.product(range(q), repeat=n):
                    if table[word] > 0:
                        row = rows_of(tuple(w if j in revealed else q for j, w in enumerate(word)))[i]
                        loss -= table[word] * (math.log(row[word[i]]) if row[word[i]] > 0 else -math.inf)
                losses.append(loss)
        curve.append(sum(losses) / len(losses))
    return np.array(curve)


def block_loss_by_loops(table, block_length):
    """c_b(m) [blocks, m]: x before block b is known, of the block a random S of m; i is in the block."""
    n, q, rows = table.ndim, table.shape[0], {}
    curves = []
    for start in range(0, n, block_length):
        block = range(start, start + block_length)
        curve = []
        for m in range(block_length):
            losses = []
            for revealed in itertools.combinations(block, m):
                for i in set(block) - set(revealed):
                    loss = 0.0
                    for word in itertools.product(range(q), repeat=n):
                        known = {*range(start), *revealed}
                        tokens = tuple(w if j in known else q for j, w in enumerate(word))
                        if table[word] > 0:
                            if tokens not in rows:
                                rows[tokens] = table_conditionals(table, tokens)
                            loss -= table[word] * math.log(rows[tokens][i, word[i]])
                    losses.append(loss)
            curve.append(sum(losses) / len(losses))
        curves.append(curve)
    return np.array(curves)


def block_by_block_nll(table, block_length, plans):
    """The mean over ordered partitions of every block, and x ~ table, of -log of the law."""
    n, total = table.ndim, 0.0
    parts = [
        list(partitions_of_sizes(range(start, start + block_length), list(counts)))
        for start, counts in zip(range(0, n, block_length), plans, strict=True)
    ]
    whole = list(itertools.product(*parts))
    for one in whole:
        law = partition_law(table, [part for block in one for part in block])
        seen = table > 0
        total -= float(np.sum(table[seen] * np.log(law[seen])))
    return total / len(whole)


# Decoders: walks through decision trees, one branch at a time.


def decision_tree_law(table, wishes):
    """Law, calls and finalisation of a rule by recursion over what it draws.

    In step t at the state with code c it reveals the masked positions of `wishes[t, c]`, or all that are
    masked if none of them is. All None if it draws a context of probability zero.
    """
    n, q = table.ndim, table.shape[0]
    law, calls, finalised = np.zeros_like(table), np.zeros(n + 1), np.zeros((n, n))

    def walk(tokens, mass, step):
        if q not in tokens:
            law[tuple(tokens)] += mass
            calls[step] += mass
            return
        code = sum(t * (q + 1) ** (n - 1 - i) for i, t in enumerate(tokens))
        masked = [i for i in range(n) if tokens[i] == q]
        chosen = [i for i in masked if wishes[step, code, i]] or masked
        rows = table_conditionals(table, tokens)
        for i in chosen:
            finalised[i, step] += mass
        for word in itertools.product(range(q), repeat=len(chosen)):
            weight = np.prod([rows[i, a] for i, a in zip(chosen, word, strict=True)])
            if weight > 0:
                after = list(tokens)
                for i, a in zip(chosen, word, strict=True):
                    after[i] = a
                walk(after, mass * weight, step + 1)
            elif weight != 0:  # NaN
                raise ZeroDivisionError

    try:
        walk([q] * n, 1.0, 0)
    except ZeroDivisionError:
        return None, None, None
    return law, calls, finalised


def conditional_total_correlation(table, tokens, chosen):
    """TC(X_B | x_C) of the positions `chosen`, by the definition, with x_C the revealed tokens."""
    q = table.shape[0]
    rows = table_conditionals(table, tokens)
    context = table_marginal(table, tokens)
    total = 0.0
    for word in itertools.product(range(q), repeat=len(chosen)):
        after = list(tokens)
        for i, a in zip(chosen, word, strict=True):
            after[i] = a
        joint = table_marginal(table, after) / context
        if joint > 0:
            product = np.prod([rows[i, a] for i, a in zip(chosen, word, strict=True)])
            total += joint * np.log(joint / product)
    return total


def best_decision_tree(table, steps, price=0.0):
    """The least expected sum of conditional total correlations, plus `price` a call, by recursion."""
    n, q = table.ndim, table.shape[0]
    memory = {}

    def best(tokens, left):
        masked = [i for i in range(n) if tokens[i] == q]
        if not masked:
            return 0.0
        if left == 0:
            return math.inf
        if (tokens, left) not in memory:
            context = table_marginal(table, tokens)
            options = []
            for size in range(1, len(masked) + 1):
                for chosen in itertools.combinations(masked, size):
                    value = price + conditional_total_correlation(table, tokens, chosen)
                    for word in itertools.product(range(q), repeat=size):
                        after = list(tokens)
                        for i, a in zip(chosen, word, strict=True):
                            after[i] = a
                        weight = table_marginal(table, after) / context
                        if weight > 0:
                            value += weight * best(tuple(after), left - 1)
                    options.append(value)
            memory[tokens, left] = min(options)
        return memory[tokens, left]

    return best((q,) * n, steps)


def ordered_partitions(positions, steps):
    """Every list of `steps` non-empty sets that together are `positions`."""
    if steps == 1:
        yield [tuple(positions)]
        return
    for size in range(1, len(positions) - steps + 2):
        for first in itertools.combinations(positions, size):
            rest = [i for i in positions if i not in first]
            for others in ordered_partitions(rest, steps - 1):
                yield [first, *others]


def partition_law(table, partition):
    """The law of revealing the sets of an ordered partition in turn, over all sequences."""
    n, q = table.ndim, table.shape[0]
    law = np.zeros_like(table)
    for word in itertools.product(range(q), repeat=n):
        value, tokens = 1.0, [q] * n
        for part in partition:
            if value == 0:
                break
            rows = table_conditionals(table, tokens)
            for i in part:
                value *= rows[i, word[i]]
                tokens[i] = word[i]
        law[word] = value
    return law


# Block-by-block decoding: every word of every block after every prefix, from the dense table.


def block_decoding_tables(table, block_size, threshold):
    """Per block: forward KL, reverse KL, incoherence, violations, incoherence of the verified decoder.

    The mean-field decoder draws the bits of a block independently from their exact marginals given its
    own prefix; the forward KL draws the prefix from the table.
    """
    words = list(itertools.product(range(2), repeat=block_size))
    rows = []
    decoder = {(): 1.0}
    for _ in range(table.ndim // block_size):
        row, following = np.zeros(5), {}
        for prefix, q_prefix in decoder.items():
            rest = table[prefix].reshape((2,) * block_size + (-1,)).sum(-1)
            p_prefix = rest.sum()
            block = rest / p_prefix
            ones = [sum(block[w] for w in words if w[i]) for i in range(block_size)]
            zeros = [sum(block[w] for w in words if not w[i]) for i in range(block_size)]
            for w in words:
                p = block[w]
                q = math.prod(ones[i] if bit else zeros[i] for i, bit in enumerate(w))
                row[0] += p_prefix * p * math.log(p / q)
                row[1] += q_prefix * q * math.log(q / p)
                row[2] += q_prefix * q * (p <= threshold)
                row[3] += q_prefix * q * (sum(w) % 2 == 1)
                row[4] += p_prefix * p * (p <= threshold)
                following[prefix + w] = q_prefix * q
        rows.append(row)
        decoder = following
    return np.array(rows)


# Rules of decoders: what a step reveals, by loops; numbers within 1e-9 count as equal.


def best_first(scores, masked):
    """The masked positions from the highest score down, the lowest position first among equals."""
    left, order = list(masked), []
    while left:
        top = max(scores[i] for i in left)
        order.append(next(i for i in left if scores[i] > top - 1e-9))
        left.remove(order[-1])
    return order


def entropy_by_loop(row):
    return -sum(p * math.log(p) for p in row if p > 0)


def margin_by_loop(row):
    return max(row) - max([0.0, *sorted(row)[:-1]])


def threshold_choice(rows, masked, threshold):
    """All whose best symbol reaches the threshold, and the best of all."""
    best = best_first([max(row) for row in rows], masked)[0]
    return {i for i in masked if max(rows[i]) > threshold - 1e-9} | {best}


def factor_choice(rows, masked, factor):
    """The largest k by trying all of them."""
    order = best_first([max(row) for row in rows], masked)
    fits = [k for k in range(1, len(order) + 1) if (k + 1) * (1 - max(rows[order[k - 1]])) < factor - 1e-9]
    return set(order[: max([1, *fits])])


def entropy_bounded_choice(rows, masked, bound):
    """The largest k whose sum of entropies less their largest is within the bound."""
    nats = [entropy_by_loop(row) for row in rows]
    order = best_first([-h for h in nats], masked)
    fits = []
    for k in range(1, len(order) + 1):
        values = [nats[i] for i in order[:k]]
        if sum(values) - max(values) <= bound + 1e-9:
            fits.append(k)
    return set(order[: max(fits)])


def entropy_sum_choice(rows, masked, threshold, order):
    """In the order, until the sum exceeds the threshold."""
    chosen, total = set(), 0.0
    for i in order:
        if i in masked and total <= threshold + 1e-9:
            chosen.add(i)
            total += entropy_by_loop(rows[i])
    return chosen


def early_commit_choice(rows, masked, otherwise, thresholds):
    """All if the mean gap of the two best log-probabilities reaches the threshold of the stage."""
    gaps = []
    for i in masked:
        first, second = sorted(rows[i])[-1], sorted(rows[i])[-2]
        gaps.append(math.inf if second == 0 else math.log(first) - math.log(second))
    share = (len(rows) - len(masked)) / len(rows)
    threshold = thresholds[0] if share < 0.33 else thresholds[1] if share < 0.67 else thresholds[2]
    return set(masked) if sum(gaps) / len(gaps) >= threshold - 1e-9 else otherwise


def decoder_traces(n, q, rows_of, choices_of):
    """The probability of every (output, step of each position) by recursion.

    `choices_of(rows, masked, tokens)` is a list of (probability, set of positions).
    """
    found = {}

    def walk(tokens, steps, mass, step):
        masked = [i for i in range(n) if tokens[i] == q]
        if not masked:
            key = (tuple(tokens), tuple(steps))
            found[key] = found.get(key, 0.0) + mass
            return
        rows = rows_of(tuple(tokens))
        for share, chosen in choices_of(rows, masked, tokens):
            chosen = sorted(chosen)
            for word in itertools.product(range(q), repeat=len(chosen)):
                weight = math.prod(rows[i][a] for i, a in zip(chosen, word, strict=True))
                if weight > 0:
                    after, when = list(tokens), list(steps)
                    for i, a in zip(chosen, word, strict=True):
                        after[i], when[i] = a, step
                    walk(after, when, mass * share * weight, step + 1)

    walk([q] * n, [n] * n, 1.0, 0)
    return found


# Policies and orders of a denoiser that is wrong: recursion over what is drawn.


def best_tree_of_rows(table, rows_of, steps, price=0.0, width=None, counts=None, only_sizes=False):
    """The least forward KL plus `price` a call of the trees of at most `steps` calls, by recursion.

    A step that reveals B costs E[log p(x_B | x_C) - sum_i log row_i(x_i)], x_B from the table. Steps
    reveal at most `width` positions, or exactly `counts` of them in turn. With `only_sizes` the size of a
    step is chosen, and its set drawn: the mean over the sets of that size.
    """
    n, q = table.ndim, table.shape[0]

    def best(tokens, left):
        masked = [i for i in range(n) if tokens[i] == q]
        if not masked:
            return 0.0
        if left == 0:
            return math.inf
        rows, context, options = rows_of(tokens), table_marginal(table, tokens), []
        sizes = [counts[steps - left]] if counts else range(1, min(len(masked), width or n) + 1)
        for size in sizes:
            values = []
            for chosen in itertools.combinations(masked, size):
                value = price
                for word in itertools.product(range(q), repeat=size):
                    after = list(tokens)
                    for i, a in zip(chosen, word, strict=True):
                        after[i] = a
                    weight = table_marginal(table, after) / context
                    if weight > 0:
                        drawn = math.prod(rows[i][a] for i, a in zip(chosen, word, strict=True))
                        loss = math.log(weight / drawn) if drawn > 0 else math.inf
                        value += weight * (loss + best(tuple(after), left - 1))
                values.append(value)
            options.append(sum(values) / len(values) if only_sizes else min(values))
        return min(options)

    return best((q,) * n, steps)


def order_law(n, q, rows_of, order):
    """The law of revealing one token at a time in this order."""
    return block_decoder_law(n, q, rows_of, [[i] for i in order])


def best_reverse_tree(table, rows_of):
    """The least reverse KL over all adaptive orders of one token at a time, contexts from the rows."""
    n, q = table.ndim, table.shape[0]

    def best(tokens):
        masked = [i for i in range(n) if tokens[i] == q]
        if not masked:
            return 0.0
        rows, exact, options = rows_of(tokens), table_conditionals(table, tokens), []
        for i in masked:
            value = 0.0
            for a in range(q):
                if rows[i][a] > 0:
                    if exact[i, a] == 0:
                        value = math.inf
                        break
                    after = (*tokens[:i], a, *tokens[i + 1 :])
                    value += rows[i][a] * (math.log(rows[i][a] / exact[i, a]) + best(after))
            options.append(value)
        return min(options)

    return best((q,) * n)


def order_errors_and_entropies(table, rows_of, order):
    """E[KL(row || p_i)] and E[H(p_i)] of every step of an order, contexts drawn from the rows."""
    n, q = table.ndim, table.shape[0]
    contexts, errors, entropies = {(q,) * n: 1.0}, [], []
    for i in order:
        error, nats, following = 0.0, 0.0, {}
        for tokens, mass in contexts.items():
            row, exact = rows_of(tokens)[i], table_conditionals(table, tokens)[i]
            nats += mass * -sum(p * math.log(p) for p in exact if p > 0)
            for a in range(q):
                if row[a] > 0:
                    error += mass * row[a] * (math.log(row[a] / exact[a]) if exact[a] > 0 else math.inf)
                    if exact[a] > 0:
                        following[(*tokens[:i], a, *tokens[i + 1 :])] = mass * row[a]
        errors.append(error)
        entropies.append(nats)
        contexts = following
    return np.array(errors), np.array(entropies)


# Verification and speculation: dicts of states, one draw and one acceptance at a time.


def sampler_law(n, q, step_of, max_steps):
    """Mass of every (tokens, calls) after `max_steps` steps, or once nothing is masked.

    `step_of(tokens, step)` is a list of (probability, tokens after, calls).
    """
    masses = {((q,) * n, 0): 1.0}
    for step in range(max_steps):
        following = {}
        for (tokens, calls), mass in masses.items():
            outcomes = step_of(tokens, step) if q in tokens else [(1.0, tokens, 0)]
            for share, after, more in outcomes:
                if share > 0:
                    key = (tuple(after), calls + more)
                    following[key] = following.get(key, 0.0) + mass * share
        masses = following
    return masses


def words_after(tokens, block, q):
    """The tokens with each word written at the positions."""
    for word in itertools.product(range(q), repeat=len(block)):
        after = list(tokens)
        for i, a in zip(block, word, strict=True):
            after[i] = a
        yield after


def verified_step(table, partition):
    """The first masked block from p(x_B | x_P) = p(x_B, x_P) / p(x_P)."""
    q = table.shape[0]

    def step_of(tokens, step):
        block = next(block for block in partition if tokens[block[0]] == q)
        context = table_marginal(table, tokens)
        return [(table_marginal(table, w) / context, w, 1) for w in words_after(tokens, block, q)]

    return step_of


def proposals_of(table, rows_of, tokens, block):
    """For each word (target, product, word), and the largest ratio of the first two."""
    q, rows, context = table.shape[0], rows_of(tuple(tokens)), table_marginal(table, tokens)
    words = []
    for after in words_after(tokens, block, q):
        target = table_marginal(table, after) / context
        words.append((target, math.prod(rows[i][after[i]] for i in block), after))
    ratios = [(p / r if r > 0 else math.inf) for p, r, _ in words if p > 0]
    return words, max(ratios)


def rejection_step(table, rows_of, partition):
    """One proposal for the first masked block, accepted with probability p / (M p_Pi)."""
    q = table.shape[0]

    def step_of(tokens, step):
        block = next(block for block in partition if tokens[block[0]] == q)
        words, constant = proposals_of(table, rows_of, tokens, block)
        outcomes = []
        for target, product, after in words:
            accept = target / (constant * product) if product > 0 else 0.0
            outcomes += [(product * accept, after, 1), (product * (1 - accept), tokens, 1)]
        return outcomes

    return step_of


def rejection_costs(table, rows_of, partition):
    """Per block the mean over contexts of M and of exp KL(p || p_Pi)."""
    n, q = table.ndim, table.shape[0]
    costs, seen = [], []
    for block in partition:
        proposals = bound = 0.0
        for context in words_after([q] * n, seen, q):
            mass = table_marginal(table, context)
            if mass > 0:
                words, constant = proposals_of(table, rows_of, context, block)
                proposals += mass * constant
                bound += mass * math.exp(sum(p * math.log(p / r) for p, r, _ in words if p > 0))
        costs.append((proposals, bound))
        seen = [*seen, *block]
    return np.array(costs).T


def greedy_path(n, q, rows_of, score):
    """The states of greedy decoding, one token a step."""
    tokens, path = [q] * n, []
    while q in tokens:
        path.append(tuple(tokens))
        tokens = best_filled(tokens, rows_of(tuple(tokens)), score, q, 1)
    return [*path, tuple(tokens)]


def best_filled(tokens, rows, score, q, count):
    """The tokens with the `count` masked positions of highest score filled by their best symbols."""
    after = list(tokens)
    for i in best_first([score(row) for row in rows], [i for i, t in enumerate(tokens) if t == q])[:count]:
        after[i] = next(a for a, p in enumerate(rows[i]) if p > max(rows[i]) - 1e-9)
    return after


def draft_and_verify_by_loop(n, q, rows_of, score, drafts):
    """Final tokens and batched calls; the rows of the draft that is kept are not asked for again."""
    tokens, calls, known = [q] * n, 1, {}
    known[tuple(tokens)] = rows_of(tuple(tokens))
    while q in tokens:
        rows = known[tuple(tokens)]
        masked = tokens.count(q)
        nested = [best_filled(tokens, rows, score, q, k) for k in range(1, min(drafts, masked) + 1)]
        if masked > 1:
            calls += 1
            known = {tuple(d): rows_of(tuple(d)) for d in nested if q in d}
        targets = [best_filled(d, known[tuple(d)], score, q, 1) if q in d else None for d in nested]
        best = 0
        while later := [j for j in range(best + 1, len(nested)) if nested[j] == targets[best]]:
            best = max(later)
        tokens = nested[best]
    return tuple(tokens), calls


def speculative_step(n, q, rows_of, order, drafts):
    """Every draft of the next tokens, then every acceptance in turn, then every residual symbol."""

    def step_of(tokens, step):
        ahead = [i for i in order if tokens[i] == q][:drafts]
        first, outcomes = rows_of(tuple(tokens)), []
        calls = 1 if len(ahead) == 1 else 2
        for word in itertools.product(range(q), repeat=len(ahead)):
            drafted = math.prod(first[i][a] for i, a in zip(ahead, word, strict=True))
            if drafted == 0:
                continue
            mass, state = drafted, list(tokens)
            for i, a in zip(ahead, word, strict=True):
                exact = rows_of(tuple(state))[i]
                accept = min(1.0, exact[a] / first[i][a])
                residual = [max(0.0, exact[b] - first[i][b]) for b in range(q)]
                if accept < 1 and sum(residual) > 0:  # it is 0 where they differ by rounding only
                    for b in range(q):
                        after = [*state]
                        after[i] = b
                        outcomes.append((mass * (1 - accept) * residual[b] / sum(residual), after, calls))
                mass, state[i] = mass * accept, a
                if mass == 0:
                    break
            outcomes.append((mass, list(state), calls))
        return outcomes

    return step_of


def incoherent_rows(n, q, seed, zeros=True):
    """Rows of no distribution at every state, in the order of `partial_assignments`; some are 0."""
    rng = np.random.default_rng(seed)
    rows = rng.choice([0.0 if zeros else 0.02, 0.1, 0.4, 1.0, 1.0], ((q + 1) ** n, n, q))
    rows[rows.sum(-1) == 0] = 1.0
    return certain_of_tokens(rows / rows.sum(-1, keepdims=True))


def certain_of_tokens(rows):
    """The rows with ones at what is revealed."""
    for state, tokens in zip(rows, partial_assignments(rows.shape[1], rows.shape[2]), strict=True):
        for i, token in enumerate(tokens):
            if token < rows.shape[2]:
                state[i] = np.arange(rows.shape[2]) == token
    return rows


def lookup_rows(rows):
    """The function of a state that `rows` tabulates; NaN is refused."""
    _, n, q = rows.shape
    index = {tuple(x): c for c, x in enumerate(partial_assignments(n, q).tolist())}

    def rows_of(tokens):
        if np.isnan(rows[index[tokens]]).any():
            raise ZeroDivisionError
        return rows[index[tokens]].tolist()

    return rows_of


# Remasking: dicts of states that may lose tokens again, and dense matrices on sequences.


def remasking_law(n, q, step_of):
    """The table of outputs, the distribution of the number of steps, and when each position last changed.

    `step_of(tokens, step)` is a list of (probability, tokens after), or None where the sampler has ended.
    The third is a list of dicts, one a position, from a step to its probability.
    """
    law, steps, step = np.zeros((q,) * n), [], 0
    masses = {((q,) * n, i, None): 1.0 for i in range(n)}  # one chain a position, with its last change
    last = [{} for _ in range(n)]
    while masses:
        following, ended, known = {}, 0.0, {}
        for (tokens, i, when), mass in masses.items():
            if tokens not in known:
                known[tokens] = step_of(tokens, step)
            if known[tokens] is None:
                law[tokens] += mass / n
                ended += mass / n
                last[i][when] = last[i].get(when, 0.0) + mass
                continue
            for share, after in known[tokens]:
                if share > 0:
                    key = tuple(after), i, step if after[i] != tokens[i] else when
                    following[key] = following.get(key, 0.0) + mass * share
        steps.append(ended)
        masses, step = following, step + 1
    return law, np.array(steps), last


def leave_one_out_by_loop(rows_of, tokens, q):
    """p(x_i | the other revealed tokens) for each revealed position, None for a masked one."""
    found = []
    for i, symbol in enumerate(tokens):
        draft = (*tokens[:i], q, *tokens[i + 1 :])
        found.append(None if symbol == q else rows_of(draft)[i][symbol])
    return found


def low_confidence_step(q, rows_of, judged_of, counts):
    """Every word of the masked positions; those of highest probability stay."""

    def step_of(tokens, step):
        masked = [i for i in range(len(tokens)) if tokens[i] == q]
        if not masked:
            return None
        rows, judged, outcomes = rows_of(tokens), judged_of(tokens), []
        size = next(e for e in np.cumsum(counts) if e > len(tokens) - len(masked))
        size -= len(tokens) - len(masked)
        for word in itertools.product(range(q), repeat=len(masked)):
            drawn = dict(zip(masked, word, strict=True))
            share = math.prod(rows[i][a] for i, a in drawn.items())
            scores = {i: judged[i][a] for i, a in drawn.items()}
            kept = best_first(scores, masked)[:size]
            outcomes.append((share, [drawn[i] if i in kept else t for i, t in enumerate(tokens)]))
        return outcomes

    return step_of


def remdm_step(q, rows_of, alphas, kind, eta=None):
    """Each position by its own coin, in every combination of outcomes."""

    def step_of(tokens, step):
        if step == len(alphas) - 1:
            return None
        before, after = alphas[step], alphas[step + 1]
        most = min(1.0, (1 - after) / before) if before > 0 else 1.0
        support = leave_one_out_by_loop(rows_of, tokens, q)
        total = sum(math.exp(-psi) for psi in support if psi is not None)
        rows, choices = rows_of(tokens), []
        for i, symbol in enumerate(tokens):
            if symbol < q:
                sigma = {"cap": lambda: min(eta, most), "rescale": lambda: eta * most}.get(
                    kind, lambda psi=support[i]: math.exp(-psi) / total * most
                )()
                choices.append([(1 - sigma, symbol), (sigma, q)])
                continue
            sigma = {"cap": lambda: min(eta, most), "rescale": lambda: eta * most}.get(kind, lambda: 0.0)()
            drawn = (after - (1 - sigma) * before) / (1 - before)
            choices.append([(drawn * rows[i][a], a) for a in range(q)] + [(max(0.0, 1 - drawn), q)])
        return [
            (math.prod(p for p, _ in combination), [a for _, a in combination])
            for combination in itertools.product(*choices)
        ]

    return step_of


def wino_step(q, rows_of, judged_of, draft, verify):
    """Drafts above one threshold, fewer tokens below the other masked again; a tree over the drafts."""

    def step_of(tokens, step):
        masked = [i for i in range(len(tokens)) if tokens[i] == q]
        if not masked:
            return None
        rows, judged = rows_of(tokens), judged_of(tokens)
        drafted = sorted(threshold_choice(judged, masked, draft))
        support = leave_one_out_by_loop(judged_of, tokens, q)
        doubted = [i for i, psi in enumerate(support) if psi is not None and psi < verify - 1e-9]
        worst = best_first({i: -support[i] for i in doubted}, doubted)[: len(drafted) - 1]
        outcomes = []
        for word in itertools.product(range(q), repeat=len(drafted)):
            after = [q if i in worst else t for i, t in enumerate(tokens)]
            for i, a in zip(drafted, word, strict=True):
                after[i] = a
            share = math.prod(rows[i][a] for i, a in zip(drafted, word, strict=True))
            outcomes.append((share, after))
        return outcomes

    return step_of


def sweeps_step(q, rows_of, blocks, passes):
    """The blocks in turn, each masked and every word of it drawn."""

    def step_of(tokens, step):
        if step == passes * len(blocks):
            return None
        block = blocks[step % len(blocks)]
        hidden = [q if i in block else t for i, t in enumerate(tokens)]
        rows, outcomes = rows_of(tuple(hidden)), []
        for word in itertools.product(range(q), repeat=len(block)):
            after = list(hidden)
            for i, a in zip(block, word, strict=True):
                after[i] = a
            outcomes.append((math.prod(rows[i][a] for i, a in zip(block, word, strict=True)), after))
        return outcomes

    return step_of


def redraw_matrix(n, q, rows_of, block):
    """The chance of every sequence after redrawing the block of every sequence, `[q^n, q^n]`."""
    words = list(itertools.product(range(q), repeat=n))
    matrix = np.zeros((q**n, q**n))
    for source, x in enumerate(words):
        hidden = tuple(q if i in block else a for i, a in enumerate(x))
        rows = rows_of(hidden)
        for target, y in enumerate(words):
            if all(x[i] == y[i] for i in range(n) if i not in block):
                matrix[source, target] = math.prod(rows[i][y[i]] for i in block)
    return matrix


def stationary_vector(matrix):
    """The left eigenvector of eigenvalue one, from NumPy's eigenvalues."""
    values, vectors = np.linalg.eig(matrix.T)
    vector = np.real(vectors[:, np.argmin(np.abs(values - 1))])
    return vector / vector.sum()


def influences(table):
    """c[i, j]: the largest total variation of p(x_i | rest) when x_j alone changes."""
    n, q = table.ndim, table.shape[0]
    found = np.zeros((n, n))

    def row(x, i):
        values = np.array([table[(*x[:i], a, *x[i + 1 :])] for a in range(q)])
        return values / values.sum()

    for x in itertools.product(range(q), repeat=n):
        for i, j in itertools.permutations(range(n), 2):
            for a in range(q):
                y = (*x[:j], a, *x[j + 1 :])
                found[i, j] = max(found[i, j], np.abs(row(x, i) - row(y, i)).sum() / 2)
    return found


# Every policy there is, and the least KL that a mixture of them has for so many calls.


def all_policies(table, rows_of):
    """(expected calls, forward KL) of every deterministic tree of sets, contexts from the table."""
    n, q = table.ndim, table.shape[0]

    def walk(tokens):
        masked = [i for i in range(n) if tokens[i] == q]
        if not masked:
            return [(0.0, 0.0)]
        rows, context, found = rows_of(tokens), table_marginal(table, tokens), []
        for size in range(1, len(masked) + 1):
            for chosen in itertools.combinations(masked, size):
                options = [(1.0, 0.0)]
                for word in itertools.product(range(q), repeat=size):
                    after = list(tokens)
                    for i, a in zip(chosen, word, strict=True):
                        after[i] = a
                    weight = table_marginal(table, after) / context
                    if weight == 0:
                        continue
                    drawn = math.prod(rows[i][a] for i, a in zip(chosen, word, strict=True))
                    loss = math.log(weight / drawn) if drawn > 0 else math.inf
                    options = [
                        (calls + weight * more, kl + weight * (loss + rest))
                        for calls, kl in options
                        for more, rest in walk(tuple(after))
                    ]
                found += options
        return found

    return np.array(walk((q,) * n))


def least_kl_of_mixtures(policies, calls):
    """The least KL on the segments between any two policies, with at most so many calls."""
    least = math.inf
    for c, k in policies:
        if c <= calls + 1e-12:
            least = min(least, k)
        for d, other in policies:
            if c < calls < d and math.isfinite(k) and math.isfinite(other):
                least = min(least, k + (other - k) * (calls - c) / (d - c))
    return least


def follow_words(table, rows_of, wishes):
    """The law of the calls and the forward KL of the rule of `decision_tree_law` on words of the table."""
    n, q = table.ndim, table.shape[0]
    calls, kl = np.zeros(n + 1), 0.0
    for word in itertools.product(range(q), repeat=n):
        if table[word] == 0:
            continue
        tokens, step, drawn = [q] * n, 0, 1.0
        while q in tokens:
            code = sum(t * (q + 1) ** (n - 1 - i) for i, t in enumerate(tokens))
            masked = [i for i in range(n) if tokens[i] == q]
            chosen, rows = [i for i in masked if wishes[step, code, i]] or masked, rows_of(tuple(tokens))
            for i in chosen:
                drawn *= rows[i][word[i]]
                tokens[i] = word[i]
            step += 1
        calls[step] += table[word]
        kl += table[word] * (math.log(table[word] / drawn) if drawn > 0 else math.inf)
    return calls, kl


def sampled_sets(scores, masked, size, temperature):
    """`size` of the masked drawn without replacement by exp(score / temperature), by all orders."""
    sets = {}
    for order in itertools.permutations(masked, min(size, len(masked))):
        chance, left = 1.0, list(masked)
        for i in order:
            known = [j for j in left if scores[j] > -math.inf]
            if temperature == 0 or not known:
                chance *= i == (best_first(scores, known)[0] if known else min(left))
            elif i not in known:
                chance = 0.0
            else:
                ahead = [(scores[j] - scores[i]) / temperature for j in known]
                chance /= sum(math.exp(min(x, 700.0)) for x in ahead)
            left.remove(i)
        sets[frozenset(order)] = sets.get(frozenset(order), 0.0) + chance
    return sets


def noisy_low_confidence_step(q, rows_of, judged_of, counts, temperatures, late=(), factors=None):
    """Every word of the masked positions, and every set of it that stays, by its law."""

    def step_of(tokens, step):
        masked = [i for i in range(len(tokens)) if tokens[i] == q]
        if not masked:
            return None
        rows, judged, outcomes = rows_of(tokens), judged_of(tokens), []
        revealed = len(tokens) - len(masked)
        at = next(t for t, end in enumerate(np.cumsum(counts)) if end > revealed)
        size, temperature = int(np.cumsum(counts)[at]) - revealed, temperatures[at]
        for word in itertools.product(range(q), repeat=len(masked)):
            drawn, scores = dict(zip(masked, word, strict=True)), {}
            share = math.prod(rows[i][a] for i, a in drawn.items())
            for i, a in drawn.items():
                sure = judged[i][a] * (factors[at] if a in late else 1.0)
                last = a in late and factors[at] == 0
                logged = math.log(sure) if sure > 0 else -math.inf
                scores[i] = -math.inf if last else (logged if temperature > 0 else sure)
            for kept, chance in sampled_sets(scores, masked, size, temperature).items():
                after = [drawn[i] if i in kept else t for i, t in enumerate(tokens)]
                outcomes.append((share * chance, after))
        return outcomes

    return step_of


def hmm_table(initial, transition, emission, n):
    """The table of a hidden Markov model: a sum over every path of its states, from the definition."""
    states, q = emission.shape[-2:]
    table = np.zeros((q,) * n)
    for path in itertools.product(range(states), repeat=n):
        weight = initial[path[0]]
        for step, (state, following) in enumerate(itertools.pairwise(path)):
            weight = weight * (transition[step] if transition.ndim == 3 else transition)[state, following]
        symbols = np.array(1.0)
        for place, state in enumerate(path):
            row = (emission[place] if emission.ndim == 3 else emission)[state]
            symbols = np.multiply.outer(symbols, row)
        table += weight * symbols
    return table


def influence_by_loops(n, q, rows_of):
    """The most that the row of a position moves in total variation as one other token changes."""
    found = np.zeros((n, n))
    for i, j in itertools.permutations(range(n), 2):
        for word in itertools.product(range(q), repeat=n):
            hidden = [q if k == i else a for k, a in enumerate(word)]
            for symbol in range(q):
                other = [symbol if k == j else a for k, a in enumerate(hidden)]
                first, second = (np.asarray(rows_of(tuple(x)))[i] for x in (hidden, other))
                found[i, j] = max(found[i, j], np.abs(first - second).sum() / 2)
    return found


def transport_cost(p, r, n, q):
    """The least mean number of positions at which draws of two laws differ, as a linear programme."""
    words = np.array(list(itertools.product(range(q), repeat=n)))
    costs = (words[:, None] != words[None]).sum(2).reshape(-1)
    size = q**n
    from_p = np.kron(np.eye(size), np.ones(size))
    to_r = np.kron(np.ones(size), np.eye(size))
    done = linprog(costs, A_eq=np.vstack([from_p, to_r])[:-1], b_eq=np.concatenate([p, r])[:-1])
    assert done.status == 0
    return done.fun


def nae_sat_table(latents, triples, flip):
    """The dense table of fair latent bits and of what is observed of each triple."""
    table = np.zeros((2,) * (latents + len(triples)))
    for word in itertools.product(range(2), repeat=latents + len(triples)):
        probability = 0.5**latents
        for seen, triple in zip(word[latents:], triples, strict=True):
            right = int(len({word[i] for i in triple}) == 2)
            probability *= 1 - flip if seen == right else flip
        table[word] = probability
    return table


# Constraints: every word walked through the automaton, and every completion of a state.


def accepted_words(transition, start, accepting, n):
    """The words of length `n` that end in an accepting state, in order."""
    found = []
    for word in itertools.product(range(len(transition[0])), repeat=n):
        state = start
        for symbol in word:
            state = transition[state][symbol]
        if accepting[state]:
            found.append(word)
    return found


def constrained_step(q, rows_of, choices_of, accepted, kind):
    """A step of `dingo`, `constrained` or `completable`, from the sum over all completions.

    A symbol of probability zero counts as an infinitely small weight: words with the fewest of them win.
    """

    def step_of(tokens, step):
        masked = [i for i, token in enumerate(tokens) if token == q]
        if not masked:
            return None
        rows, found = rows_of(tokens), {}
        words = [w for w in accepted if all(t in (q, a) for t, a in zip(tokens, w, strict=True))]
        for share, chosen in choices_of(rows, masked):
            weighed = masked if kind == "constrained" else chosen
            chances = [[rows[i][w[i]] for i in weighed] for w in words]
            zeros = [sum(p == 0 for p in one) for one in chances]
            weights = [
                math.prod(p for p in one if p > 0) if none == min(zeros) else 0.0
                for one, none in zip(chances, zeros, strict=True)
            ]
            after = [tuple(w[i] if i in chosen else t for i, t in enumerate(tokens)) for w in words]
            if kind == "dingo":
                first = next(i for i, weight in enumerate(weights) if weight > max(weights) * (1 - 1e-9))
                law = {after[first]: 1.0}
            elif kind == "constrained":
                law = {}
                for word, weight in zip(after, weights, strict=True):
                    law[word] = law.get(word, 0.0) + weight
            else:
                law = dict(zip(after, weights, strict=True))  # all completions of one have the same weight
            for word, weight in law.items():
                found[word] = found.get(word, 0.0) + share * weight / sum(law.values())
        return [(mass, word) for word, mass in found.items()]

    return step_of
