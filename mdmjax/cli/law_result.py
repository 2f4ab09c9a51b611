"""The result of `mdmjax law`: a JSON object, which the table and the picture are drawn from."""

import math
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import InvalidInputError, readable_bytes, refuse
from .._types import Array, Float
from ..decoders.base import AbstractDecoder, AbstractRule
from ..decoders.early_commit import EarlyCommit
from ..decoders.orders import RandomSubset
from ..decoders.ranked import ChosenBy
from ..denoisers.argmax import Argmax
from ..denoisers.base import AbstractDenoiser
from ..denoisers.entropy_noise import EntropyNoise
from ..denoisers.fallback import Fallback
from ..denoisers.oracle import Oracle
from ..denoisers.perturbed import DirichletNoise, Mixed, Tempered
from ..denoisers.table import tabulate_denoiser
from ..distributions.block_hmm import BlockHMM
from ..distributions.joint import MAX_TABLE_BYTES, Joint, tabulate
from ..divergences.blocks import block_incoherence, parity_violation_rate
from ..divergences.tables import chi_square, hellinger, incoherence, kl, reverse_kl, total_variation
from ..information.enumeration import information_curve
from ..laws._rows import with_tables
from ..laws.block_chain import block_decoding, block_decoding_estimate
from ..laws.exact import exact_law
from ..laws.law import Law
from ..laws.random_order import random_order_law
from ..laws.rejection import rejection_law
from ..losses.exact import kl_split
from ..policies.regret import CallsHull, teacher_forced_calls
from ..schedules.named import NAMED
from ..schedules.optimal import optimal_schedule
from ..schedules.schedule import Schedule
from .decoders import MeanField
from .kernels import Rejection, Verified
from .loaded import Model, options_of
from .setting import DecoderOptions, Setting
from .trained import open_model

DENSE = 2**17
"""Sequences beyond which a Block-HMM is decoded by its beliefs and not by a table (`_check_size`)."""

TABULATED = 2**16
"""Contexts up to which the denoiser is made a table: each decoder then compiles a look-up only."""

ENUMERATED = "a block, all of whose words are enumerated"


def setting_of(model: Model, options: Any) -> Setting:
    """The distribution as a table, the denoiser with its error, and the schedule.

    Raises:
        InvalidInputError: counts that do not sum to `n`, steps outside `1..n`, more than one error.
    """
    _check_size(model.distribution.n, model.distribution.q)
    joint = tabulate(model.distribution)
    denoiser = Fallback(Oracle(joint)) if options.model is None else _network(options.model, joint)
    given = [name for name in ("mix", "dirichlet", "entropy_noise") if getattr(options, name) is not None]
    if len(given) > 1:
        refuse(", ".join(given), "given together", "one kind of model error")
    if options.mix is not None:
        denoiser = Mixed(denoiser, options.mix)
    if options.dirichlet is not None:
        denoiser = DirichletNoise(denoiser, options.dirichlet, key=jax.random.key(options.seed))
    if options.entropy_noise is not None:
        denoiser = EntropyNoise(denoiser, options.entropy_noise, 0)
    n = joint.n
    if (joint.q + 1) ** n <= TABULATED:
        denoiser = tabulate_denoiser(with_tables(denoiser))
    is_hmm = isinstance(model.distribution, BlockHMM)
    block = model.distribution.block_size if is_hmm else max(1, n // 2)
    return Setting(model.distribution, joint, denoiser, _schedule(joint, options), block)


def _check_size(n: int, q: int) -> None:
    """Refuse, before anything is made, a distribution whose marginals do not fit: decoders look them up."""
    need = 2 * (q + 1) ** min(n, 2**12) * 8
    if need > MAX_TABLE_BYTES:
        wanted = f"marginals of at most {readable_bytes(MAX_TABLE_BYTES)}"
        remedy = f"two tables of {q + 1}^{n} numbers need {'over ' * (n > 2**12)}{readable_bytes(need)}"
        refuse("n, q", f"{n}, {q}", wanted, f"{remedy}; use fewer positions")


def law_result(setting: Setting, decoder: DecoderOptions, options: Any, hull: CallsHull | None) -> dict:
    """What is known of one decoder, from its exact law."""
    made = decoder.build(setting)
    writer, made = written(setting.model, made, options.temperature)
    facts: dict[str, Any] = {"call": "a call of the denoiser"}
    if isinstance(decoder, Rejection):
        found = rejection_law(writer, setting.joint, setting.partition(decoder.block))
        law = Law(found.probs, jnp.zeros(1), jnp.zeros((setting.joint.n, 0)), jnp.zeros(()))
        facts |= {
            "call": "a proposal",
            "expected_calls": found.expected_proposals,
            "calls": None,  # geometric: no finite list
            "finalised": None,
            "least_proposals": found.bound,
        }
    elif isinstance(made, RandomSubset) or (
        isinstance(made, ChosenBy) and isinstance(made.decoder, RandomSubset)
    ):
        law = random_order_law(writer, setting.schedule)
        split = kl_split(setting.joint, writer, setting.schedule)
        facts |= {
            "expected_kl": split.sampling + split.learning,
            "sampling_error": split.sampling,
            "learning_error": split.learning,
        }
    else:
        law = exact_law(writer, made)
    if isinstance(decoder, Verified):
        facts["call"] = ENUMERATED
    result = _summary(setting, decoder, law, options.epsilon) | facts
    return plain(result | _regret(setting, writer, made, law, result["expected_calls"], hull))


def compared(setting: Setting, decoder: DecoderOptions, options: Any, hull: CallsHull) -> dict:
    """One row of the table of all decoders; one that cannot be had says why."""
    try:
        row = law_result(setting, decoder, options, hull)
    except InvalidInputError as error:
        return {"decoder": options_of(decoder), "skipped": str(error)}
    return {key: value for key, value in row.items() if key not in ("truth", "law", "finalised", "calls")}


def is_long(model: Model) -> bool:
    """Whether it is a Block-HMM too long for a table."""
    distribution = model.distribution
    return isinstance(distribution, BlockHMM) and 2**distribution.n > DENSE


def long_result(
    model: BlockHMM, decoder: MeanField | Verified, epsilon: float, samples: int | None, seed: int
) -> dict:
    """Mean-field or verified decoding of a Block-HMM of any length, by the law of its belief."""
    if decoder.block not in (None, model.block_size):
        refuse("block", decoder.block, f"the source's own, {model.block_size}", "at this length")
    if samples is None:
        found, errors = block_decoding(model, incoherence_threshold=epsilon), {}
    else:
        key = jax.random.key(seed)
        guess = block_decoding_estimate(key, model, samples, incoherence_threshold=epsilon)
        found = guess.estimate
        errors = {
            "forward_kl": guess.forward_kl_stderr,
            "reverse_kl": guess.reverse_kl_stderr,
            "incoherence": guess.incoherence_stderr,
            "violation_rate": guess.violation_rate_stderr,
        }
    values = {
        "forward_kl": found.forward_kl,
        "reverse_kl": found.reverse_kl,
        "incoherence": found.incoherence,
        "violation_rate": found.violation_rate,
    }
    call = "a call of the denoiser"
    if isinstance(decoder, Verified):
        # Each block is drawn from its exact conditional: there is no divergence to estimate.
        call = ENUMERATED
        values = {
            "forward_kl": 0.0,
            "reverse_kl": 0.0,
            "incoherence": found.verified_incoherence,
            "violation_rate": found.verified_violation_rate,
        }
        if errors:
            errors = {"incoherence": guess.verified_incoherence_stderr}
    return plain(
        {
            "decoder": options_of(decoder),
            "exact": samples is None,
            "stderr": errors or None,
            "samples": samples,
            "incoherence_of": "blocks",
            "expected_calls": float(model.blocks),
            "call": call,
        }
        | values
    )


def _schedule(joint: Joint, options: Any) -> Schedule:
    """The sizes of the steps: as given, or of a name; one token a step if nothing is said."""
    n = joint.n
    if options.counts is not None and options.steps is not None:
        refuse("counts, steps", f"{options.counts}, {options.steps}", "only one of the two")
    if options.counts is not None:
        return counts_of(options.counts, n)
    steps = n if options.steps is None else options.steps
    if not 1 <= steps <= n:
        refuse("steps", steps, f"an integer in 1..n with n = {n}")
    if options.schedule == "best":
        return optimal_schedule(information_curve(joint).information, steps)
    return NAMED[options.schedule](n, steps)


def counts_of(text: str, n: int) -> Schedule:
    """The schedule that is written as `1,2,2`."""
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        refuse("counts", text, "integers with commas between them, as 1,2,2")
    schedule = Schedule(counts)
    if schedule.n != n:
        refuse("counts", text, f"a sum of n = {n}", f"theirs is {schedule.n}")
    return schedule


def _network(folder: Path, joint: Joint) -> AbstractDenoiser:
    """The trained model of a folder at every context, in the precision of the exact laws."""
    network = open_model(folder).network
    if (network.n, network.q) != (joint.n, joint.q):
        sizes = f"n, q = {joint.n}, {joint.q} of the source"
        refuse(
            "model", f"{folder} of n, q = {network.n}, {network.q}", sizes, "give the source these sizes"
        )
    return tabulate_denoiser(network, dtype=joint.probs.dtype)


def written(
    model: AbstractDenoiser, decoder: AbstractRule | AbstractDecoder, temperature: float
) -> tuple[AbstractDenoiser, AbstractRule | AbstractDecoder]:
    """What tokens are drawn from, and the decoder, which goes on to see the rows of the model."""
    greedy = isinstance(decoder, EarlyCommit)  # Prophet writes the argmax
    if temperature == 1 and not greedy:
        return model, decoder
    writer = Argmax(model) if greedy or temperature == 0 else Tempered(model, temperature)
    return writer, ChosenBy(decoder, model) if isinstance(decoder, AbstractRule) else decoder


def _summary(setting: Setting, decoder: DecoderOptions, law: Law, epsilon: float) -> dict:
    """The divergences and the costs of a law."""
    joint, probs, model = setting.joint.probs, law.probs, setting.distribution
    is_hmm = isinstance(model, BlockHMM)
    block = model.block_size if is_hmm else None
    return {
        "decoder": options_of(decoder),
        "exact": True,
        "stderr": None,
        **_divergences(joint, probs, block, epsilon),
        "incoherence_of": "blocks" if is_hmm else "sequences",
        "expected_calls": law.expected_calls,
        "calls": law.calls,
        "finalised": law.finalised,
        "unfinished": law.unfinished,
        "truth": joint.reshape(-1),
        "law": probs.reshape(-1),
    }


@eqx.filter_jit
def _divergences(
    truth: Float[Array, "..."], law: Float[Array, "..."], block: int | None, epsilon: float
) -> dict[str, Any]:
    """Everything that compares two tables, compiled once for all decoders; `block` is a Block-HMM's."""
    return {
        "forward_kl": kl(truth, law),
        "reverse_kl": reverse_kl(truth, law),
        "total_variation": total_variation(truth, law),
        "chi_square": chi_square(truth, law),
        "hellinger": hellinger(truth, law),
        "incoherence": block_incoherence(truth, law, block, epsilon)
        if block
        else incoherence(truth, law, epsilon),
        "violation_rate": parity_violation_rate(law, block) if block else None,
    }


def _regret(
    setting: Setting,
    writer: AbstractDenoiser,
    made: AbstractRule | AbstractDecoder,
    law: Law,
    calls: Any,
    hull: CallsHull | None,
) -> dict:
    """What the best policy would save with as many calls; its calls are a mean over the data."""
    if hull is None:
        return {}
    over = "the output"
    if isinstance(made, AbstractRule) and not made.is_random:
        calls, over = teacher_forced_calls(writer, made, setting.joint).expected_calls, "the data"
    regret = kl(setting.joint.probs, law.probs) - hull.kl_at(float(calls))
    return {"regret": regret, "regret_calls": calls, "regret_calls_over": over}


def plain(value: Any) -> Any:
    """Arrays as lists, numbers that are not finite as the strings "inf", "-inf" and "nan"."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, jax.Array | np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
