"""What people pass by mistake: each is one line that says what to pass."""

import jax
import jax.numpy as jnp
import pytest

import mdmjax as mj

PAIR = mj.Joint(jnp.array([[0.4, 0.1], [0.1, 0.4]]))
MODEL, RULE, COUNTS = mj.Oracle(PAIR), mj.ConfidenceThreshold(0.7), mj.Schedule([1, 1])
DECODER, CURVE = mj.Reveal(RULE), mj.permutation_curve(4)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mj.exact_law(DECODER, MODEL), r"denoiser is a Reveal: want a denoiser; Oracle\(p\)"),
        (lambda: mj.exact_law(MODEL, RULE), r"decoder is a ConfidenceThreshold: .* Reveal\(rule\)"),
        (lambda: mj.exact_law(PAIR, DECODER), "denoiser is a Joint: want a denoiser"),
        (lambda: mj.exact_law(mj.Oracle, DECODER), "denoiser is the class Oracle"),
        (lambda: mj.decode(jax.random.key(0), MODEL, RULE), "decoder is a ConfidenceThreshold"),
        (lambda: mj.decode_many(jax.random.key(0), PAIR, DECODER, 2), "denoiser is a Joint"),
        (lambda: mj.regret(mj.noisy_repeated_bit(2, 0.1), MODEL, DECODER), r"joint is .*; tabulate\(p\)"),
        (lambda: mj.regret(PAIR, MODEL, RULE), "decoder is a ConfidenceThreshold"),
        (lambda: mj.regret(MODEL, PAIR, DECODER), "joint is a Oracle"),
        (lambda: mj.law_study(PAIR, RULE), "decoder is a ConfidenceThreshold"),
        (lambda: mj.comparison_study(PAIR, [DECODER]), r"decoders\[0\] is a Reveal: .* Named\(decoder"),
        (lambda: mj.expected_kl(CURVE, [4]), r"schedule is a list: .* Schedule\(counts\)"),
        (lambda: mj.left_to_right([1, 1]), "schedule is a list"),
        (lambda: mj.Ranked(COUNTS, mj.confidence), "schedule is a function"),
        (lambda: mj.optimal_schedule(CURVE, 2.0), "steps is 2.0: want an integer"),
        (lambda: mj.optimal_schedule(CURVE, "2"), "steps is 2: want an integer"),
        (lambda: mj.open_model("nowhere"), "model is nowhere: want a folder"),
    ],
)
def test_a_slip_is_one_line(call, message):
    with pytest.raises(mj.InvalidInputError, match=message):
        call()
