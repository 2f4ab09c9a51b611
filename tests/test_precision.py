"""The exact parts in the float type that runs: against NumPy in float64, to tolerances made of its `eps`.

Run as they are, in float64; with `--float32` without x64, as on a TPU. Tables are generic, so that no
decoder has to choose between equals, and small, so that sums of some hundred terms stay within `64 eps`.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import (
    best_decision_tree,
    block_decoding_tables,
    block_hmm_table,
    code_table,
    decoder_traces,
    divergences_by_loops,
    entropy_bounded_choice,
    entropy_by_loop,
    identical_mixture_table,
    information_by_subsets,
    kl_by_sum,
    least_step_gap,
    low_confidence_step,
    marginal_entropy_by_loop,
    markov_table,
    masked_loss_by_loops,
    partition_law,
    partitions_of_sizes,
    remasking_law,
    remdm_step,
    step_gap_by_loops,
    table_conditionals,
    tse_by_loop,
)

from mdmjax import (
    BlockHMM,
    EntropyBounded,
    FixedPartition,
    InformationCurve,
    Joint,
    LossCurve,
    LowConfidence,
    Oracle,
    RandomSubset,
    Ranked,
    ReMDM,
    Reveal,
    Schedule,
    denoiser_loss_curve,
    exact_law,
    expected_kl,
    information_curve,
    isotonic_fit,
    kl,
    markov_curve,
    negative_entropy,
    nll,
    noisy_bit_curve,
    optimal_policy_frontier,
    optimal_schedule,
    parity_curve,
    permutation_curve,
    reverse_kl,
    symmetric_chain,
    tabulate,
    total_variation,
)
from mdmjax.divergences.tables import chi_square, hellinger
from mdmjax.information.enumeration import mean_entropies, subset_entropies
from mdmjax.laws.block_decoding import block_decoding

pytestmark = pytest.mark.any_float

N, Q = 4, 2


def eps():
    return float(jnp.finfo(jnp.result_type(float)).eps)


def close(found, wanted, size=64.0):
    """Equal up to `size` times eps, absolute plus relative; the type is the default one."""
    assert jnp.asarray(found).dtype == jnp.result_type(float)
    wanted = np.asarray(wanted, np.float64)
    np.testing.assert_allclose(np.asarray(found, np.float64), wanted, rtol=size * eps(), atol=size * eps())


def joint_of(seed, n=N, q=Q, spread=0.5):
    """A random table in the default type, and the same numbers in float64."""
    table = np.random.default_rng(seed).dirichlet(np.full(q**n, spread)).reshape((q,) * n)
    joint = Joint(jnp.asarray(table, float))
    return joint, np.asarray(joint.probs, np.float64)


def as_float64(*arrays):
    return (np.asarray(array, np.float64) for array in arrays)


@pytest.mark.parametrize(("n", "q"), [(5, 2), (3, 3)])
def test_information_curve(n, q):
    joint, table = joint_of(0, n, q)
    curve = information_curve(joint)
    close(curve.information, information_by_subsets(table))
    close(curve.marginal_entropy, marginal_entropy_by_loop(table))


def test_mean_entropies():
    joint, table = joint_of(1, 5)
    axes = range(5)
    wanted = [0.0]
    for k in range(1, 6):
        kept = [set(part[0]) for part in partitions_of_sizes(axes, [k, 5 - k][: 1 + (k < 5)])]
        sums = [table.sum(axis=tuple(set(axes) - one)).reshape(-1) for one in kept]
        wanted.append(np.mean([entropy_by_loop(one.tolist()) for one in sums]))
    found = mean_entropies(subset_entropies(joint))
    close(found, wanted)
    assert tse_by_loop(np.asarray(found, np.float64)) > 0


def test_closed_forms():
    close(parity_curve(6, 2).information, [0, 0, 0, 0, 0, np.log(2)])
    close(permutation_curve(5).information, [np.log(5 / (5 - i)) for i in range(5)])
    parity = code_table(np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]]), 2)
    close(parity_curve(4, 2).information, information_by_subsets(parity))


def test_closed_form_of_a_chain():
    chain = symmetric_chain(5, 3, 0.2)
    wanted = information_by_subsets(markov_table(np.asarray(chain.transition, np.longdouble), 5))
    close(markov_curve(chain.transition, 5).information, wanted)


def test_closed_form_of_a_noisy_bit():
    table = identical_mixture_table([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], 6)
    close(noisy_bit_curve(6, 0.1).information, information_by_subsets(table))


@pytest.mark.parametrize("steps", [1, 3, 6])
def test_optimal_schedule(steps):
    information = np.concatenate([[0.0], np.cumsum(np.random.default_rng(2).random(11))])
    curve = InformationCurve(jnp.asarray(information, float), jnp.asarray(12.0, float))
    (values,) = as_float64(curve.information)
    best = optimal_schedule(curve, steps)
    assert best.steps == steps
    close(expected_kl(curve, best), step_gap_by_loops(values, best.counts.tolist()))
    close(expected_kl(curve, best), least_step_gap(values, steps))


def test_optimal_schedule_of_a_loss_curve():
    loss = np.sort(np.random.default_rng(3).random(10))[::-1] + 1
    loss[4], loss[5] = loss[5], loss[4]
    curve = LossCurve(jnp.asarray(loss, float))
    (values,) = as_float64(curve.loss)
    best = optimal_schedule(curve, 4)
    close(nll(curve, best) - curve.loss.sum(), least_step_gap(-values, 4), 256)
    fitted = isotonic_fit(curve).loss
    close(fitted, np.r_[values[:4], [values[4:6].mean()] * 2, values[6:]])


def test_divergences():
    (joint, p), (other, r) = joint_of(4), joint_of(5, spread=2.0)
    wanted = divergences_by_loops(p, r)
    found = {
        "kl": kl,
        "reverse_kl": reverse_kl,
        "total_variation": total_variation,
        "chi_square": chi_square,
        "hellinger": hellinger,
    }
    for name, function in found.items():
        close(function(joint, other), wanted[name], 64 * max(1.0, wanted[name]))
    assert float(kl(joint, joint)) == 0


def of_traces(table, choices_of):
    """The law of a rule, from its decision tree."""

    def rows_of(tokens):
        return table_conditionals(table, tokens).tolist()

    law = np.zeros_like(table)
    for (word, _), mass in decoder_traces(N, Q, rows_of, choices_of).items():
        law[word] += mass
    return law


def easiest_two(rows, masked, tokens):
    ranked = sorted(masked, key=lambda i: entropy_by_loop(rows[i]))
    return [(1.0, set(ranked[:2]))]


def laws():
    """Six decoders, each with its law by loops from a table of float64."""
    two = Schedule([2, 2])

    def rows(table):
        return lambda tokens: table_conditionals(table, tokens).tolist()

    return {
        "random": (
            Reveal(RandomSubset(two)),
            lambda t: np.mean([partition_law(t, p) for p in partitions_of_sizes(range(N), [2, 2])], axis=0),
        ),
        "fixed": (
            Reveal(FixedPartition([[3, 0], [1], [2]])),
            lambda t: partition_law(t, [(3, 0), (1,), (2,)]),
        ),
        "easy-first": (
            Reveal(Ranked(negative_entropy, two)),
            lambda t: of_traces(t, easiest_two),
        ),
        "entropy-bounded": (
            Reveal(EntropyBounded(0.5)),
            lambda t: of_traces(t, lambda r, m, x: [(1.0, entropy_bounded_choice(r, m, 0.5) & {*m})]),
        ),
        "low-confidence": (
            LowConfidence(two),
            lambda t: remasking_law(N, Q, low_confidence_step(Q, rows(t), rows(t), [2, 2]))[0],
        ),
        "remdm": (
            ReMDM.cap([0.0, 0.5, 0.75, 1.0], 0.3),
            lambda t: remasking_law(N, Q, remdm_step(Q, rows(t), [0.0, 0.5, 0.75, 1.0], "cap", 0.3))[0],
        ),
    }


@pytest.mark.parametrize("name", laws())
def test_law(name):
    decoder, by_loops = laws()[name]
    joint, table = joint_of(6, spread=1.0)
    law, wanted = exact_law(Oracle(joint), decoder), by_loops(table / table.sum())
    close(law.probs, wanted)
    close(jnp.sum(law.probs), 1)
    close(law.kl(joint), kl_by_sum(table, wanted))
    close(jnp.sum(law.calls), 1)


def test_one_token_a_step_is_the_truth():
    joint, table = joint_of(7, 6)
    law = exact_law(Oracle(joint), Reveal(RandomSubset(Schedule([1] * 6))))
    close(law.probs, table)
    assert float(law.kl(joint)) <= 64 * eps()


def test_the_mean_over_partitions_is_the_error_of_the_curve():
    joint, table = joint_of(8)
    each = [kl_by_sum(table, partition_law(table, p)) for p in partitions_of_sizes(range(N), [1, 3])]
    close(expected_kl(information_curve(joint), Schedule([1, 3])), np.mean(each))


def test_loss_curve_of_an_oracle():
    joint, table = joint_of(9)
    wanted = masked_loss_by_loops(table, lambda tokens: table_conditionals(table, tokens))
    close(denoiser_loss_curve(joint, Oracle(joint)).loss, wanted)


def test_best_policies():
    joint, table = joint_of(10)
    wanted = [best_decision_tree(table, steps) for steps in range(1, N + 1)]
    close(optimal_policy_frontier(joint, N), wanted)


def test_block_chain():
    model = BlockHMM(2, 3, eta=0.05)
    hmm = list(as_float64(model.initial, model.transition, model.emission, model.eta))
    table = block_hmm_table(*hmm, 2, 3)
    close(tabulate(model).probs, table)
    found, wanted = block_decoding(model, incoherence_threshold=1e-2), block_decoding_tables(table, 3, 1e-2)
    close(found.forward_kl_by_block, wanted[:, 0])
    close(found.reverse_kl_by_block, wanted[:, 1])
    close(found.violation_rate_by_block, wanted[:, 3])
