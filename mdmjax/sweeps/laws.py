"""The study of laws: how far the law of a decoder is from the truth, and from the best there can be."""

from typing import Any

import jax.numpy as jnp

import mdmjax as mj

from .._errors import InvalidInputError, refuse
from ..laws.block_chain import BlockChainLaw
from ..laws.dense import dense_law
from ..laws.law import Law
from ..losses.exact import learning_error_curve
from ..policies.hull import calls_hull
from ..policies.orders import fixed_orders, optimal_order
from ..policies.regret import regret
from ..studies.law import divergences_of, oracle_of
from .cases import More, Study
from .known import remembered
from .law_cases import LawCase, LongCase, case_of, check, complete

EPSILON = 1e-8  # a sequence of at most this probability is incoherent, as in `mdmjax law`


def numbers(case: LawCase | LongCase) -> dict[str, Any]:
    """The numbers of a law as a pure function of arrays; refused where `dense_law` has none."""
    if isinstance(case, LongCase):
        refuse("the law", "of a long Block-HMM", "a table")
    return _compared(case, dense_law(case.denoiser, case.decoder))


def one(case: LawCase | LongCase) -> dict[str, Any]:
    """The same of any law, by `exact_law`; a law of blocks of any length has some of them."""
    if isinstance(case, LongCase):
        law = mj.exact_law(oracle_of(case.truth), case.decoder)
        if not isinstance(law, BlockChainLaw):
            refuse("the law", f"by {law.way}", "that of the Block-HMM's own blocks")
        return {
            "forward_kl": law.kl(case.truth),
            "reverse_kl": law.reverse_kl(case.truth),
            "incoherence": law.incoherence(EPSILON),
            "violation_rate": law.violation_rate,
            "expected_calls": law.expected_calls,
            "unfinished": law.unfinished,
        }
    law = mj.exact_law(case.denoiser, case.decoder)
    if not isinstance(law, Law):
        refuse("the law", f"by {law.way}", "a table", "use fewer positions")
    return _compared(case, law)


def _compared(case: LawCase, law: Law) -> dict[str, Any]:
    found = divergences_of(case.probs, law.probs, case.block, EPSILON)
    found["violation_rate"] = jnp.nan if case.block is None else found["violation_rate"]
    return found | {"expected_calls": law.expected_calls, "unfinished": law.unfinished}


_hull = remembered(calls_hull)  # many decoders have the same truth and denoiser
_learning = remembered(learning_error_curve)
_loss_of = remembered(mj.denoiser_loss_curve)


def _regret(case: LawCase) -> dict[str, Any]:
    joint = mj.Joint(case.probs)
    hull = _hull(joint, case.decoder.writer(case.denoiser))
    found = regret(joint, case.denoiser, case.decoder, hull=hull)
    return {"regret": found.value, "regret_calls": found.calls}


def _split(case: LawCase) -> dict[str, Any]:
    """`kl_split`, whose error of the denoiser is the same for every schedule."""
    joint = mj.Joint(case.probs)
    errors = _learning(joint, case.decoder.writer(case.denoiser))
    sampling = mj.expected_kl(mj.information_curve(joint), case.schedule)
    return {"sampling_error": sampling, "learning_error": mj.nll(errors, case.schedule)}


def _loss(case: LawCase) -> dict[str, Any]:
    return {"loss": _loss_of(mj.Joint(case.probs), case.denoiser).loss}


@remembered
def _orders_of(joint: mj.Joint, denoiser: mj.AbstractDenoiser) -> dict[str, Any]:
    every = fixed_orders(joint, denoiser)
    return {
        "mean_order_kl": every.forward_kl.mean(),
        "mean_order_reverse_kl": every.reverse_kl.mean(),
        "best_order_reverse_kl": every.reverse_kl.min(),
        "best_adaptive_reverse_kl": optimal_order(joint, denoiser, reverse=True).kl,
    }


def _orders(case: LawCase) -> dict[str, Any]:
    return _orders_of(mj.Joint(case.probs), case.denoiser)


def _of_tables(of: Any) -> Any:
    """Numbers of a case that is a table; one that is none, or is refused, has none of them."""

    def found(case: LawCase | LongCase) -> dict[str, Any]:
        if isinstance(case, LongCase):
            return {}
        try:
            return of(case)
        except InvalidInputError:
            return {}

    return found


LAW = Study(
    (
        "forward_kl",
        "reverse_kl",
        "total_variation",
        "chi_square",
        "hellinger",
        "incoherence",
        "violation_rate",
        "expected_calls",
        "unfinished",
    ),
    complete,
    case_of,
    one,
    numbers,
    (
        More(("regret", "regret_calls"), _of_tables(_regret)),
        More(("sampling_error", "learning_error"), _of_tables(_split)),
        More(("loss",), _of_tables(_loss), lists=True),
        More(
            ("mean_order_kl", "mean_order_reverse_kl", "best_order_reverse_kl", "best_adaptive_reverse_kl"),
            _of_tables(_orders),
        ),
    ),
    check,
    ("best", "best-mixture", "best-learned"),
)
