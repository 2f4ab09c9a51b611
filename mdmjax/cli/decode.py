"""`mdmjax decode DIR DECODER`: sequences of a trained model, and what their traces say of the decoder."""

import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from .._errors import refuse
from ..files.atomic import check_writable
from .decoders import Random
from .kernels import DECODERS
from .loaded import Track, options_of
from .setting import OptionalInt, Setting, one_of

if TYPE_CHECKING:
    from ..decoders.base import AbstractDecoder, AbstractRule
    from ..decoders.run import Trace
    from ..denoisers.base import AbstractDenoiser
    from ..schedules.schedule import Schedule
    from .trained import Trained

DecoderChoice = one_of(*DECODERS)
"""One of the decoders."""

SHOWN = 8
"""Most sequences that are printed; --json and --out have all."""


@dataclasses.dataclass(frozen=True)
class DecodeCommand:
    """Sequences of a trained model by any decoder, and how parallel and in which order it wrote them."""

    model: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    """Folder that `mdmjax train` wrote."""
    decoder: DecoderChoice = Random()
    """The decoder; without one, random positions."""
    counts: Annotated[str | None, tyro.conf.arg(metavar="S1,S2,...")] = None
    """Tokens revealed at each step; they sum to n."""
    steps: OptionalInt = None
    """Number of steps, sized by --schedule. With neither, one token a step."""
    schedule: Annotated[str | None, tyro.conf.arg(metavar="NAME|best|FILE.json")] = None
    """Sizes the steps: llada_uniform (for --steps alone), dllm_cosine, pyramid, ...; best: the optimum by
    the model's loss curve; or a schedule.json of `mdmjax schedule --export`."""
    samples: int = 4
    """Number of sequences."""
    batch: int = 64
    """Sequences decoded at once: bounds the memory."""
    temperature: float = 1.0
    """Tokens are drawn at this temperature, 0: the argmax. Choices go by the model's own rows, except
    in kernels that draw before they choose."""
    seed: int = 0
    """Seed of the draws."""
    json: bool = False
    """Print one JSON object instead of the text."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.npz")] = None
    """Write tokens, the step that finalised each, and calls, of all sequences."""

    def run(self) -> None:
        """Decode, write the traces if they are asked for, and print."""
        import time

        import jax

        from ..decoders.run import decode_many
        from ..files.trace_files import write_traces
        from .progress import track
        from .trained import open_model

        self._check()
        trained = open_model(self.model)
        network = trained.network
        schedule, how = self._schedule(trained, track)
        setting = Setting(None, None, network, schedule, max(1, network.n // 2))
        writer, decoder = _at_temperature(network, self.decoder.build(setting), self.temperature)
        start = time.monotonic()
        traces = jax.block_until_ready(
            decode_many(jax.random.key(self.seed), writer, decoder, self.samples, batch=self.batch)
        )
        seconds = time.monotonic() - start
        if self.out:
            write_traces(self.out, traces, network.q)
        result = self._result(trained, traces) | {
            "counts": schedule.counts.tolist(),
            "schedule": how,
            "seconds": seconds,
            "out": None if self.out is None else str(self.out),
        }
        print(json.dumps(result, allow_nan=False, ensure_ascii=False) if self.json else _shown(result))

    def _check(self) -> None:
        """Refuse, before any work, options that do not fit or a file that could not be written."""
        if self.decoder.needs_truth:
            remedy = f"`mdmjax law SOURCE {self.decoder.name} --model DIR` has it for a known one"
            refuse("decoder", self.decoder.name, "one that does not need the true distribution", remedy)
        for name in ("samples", "batch"):
            if getattr(self, name) < 1:
                refuse(name, getattr(self, name), "an integer >= 1")
        if not 0 <= self.temperature < math.inf:
            refuse("temperature", self.temperature, "a finite number >= 0", "0 writes the argmax")
        if not 0 <= self.seed < 2**63:
            refuse("seed", self.seed, "an integer in 0..2^63-1")
        given = [name for name in ("counts", "steps") if getattr(self, name) is not None]
        if self.schedule is not None and self.schedule.endswith(".json"):
            given.append("schedule")
        elif self.schedule is not None and self.steps is None:
            refuse("steps", "not given", "an integer in 1..n", f"{self.schedule} sizes that many steps")
        if len(given) > 1:
            refuse(", ".join(given), "given together", "only one of them")
        if self.out:
            if self.out.suffix.lower() != ".npz":
                refuse("out", str(self.out), "a name that ends in .npz")
            check_writable("out", self.out)

    def _schedule(self, trained: "Trained", track: Track) -> tuple["Schedule", str]:
        """The sizes of the steps, and where they come from."""
        from ..files.schedule_files import read_schedule
        from ..schedules.named import NAMED
        from ..schedules.optimal import optimal_schedule
        from .law_result import counts_of
        from .measure import curve_of

        n, name = trained.network.n, self.schedule or "llada_uniform"
        if self.counts is not None:
            return counts_of(self.counts, n), "as given"
        if name.endswith(".json"):
            schedule = read_schedule(Path(name))
            if schedule.n != n:
                refuse("schedule", f"{name} of {schedule.n} tokens", f"n = {n} of the model")
            return schedule, f"read from {name}"
        if name != "best" and name not in NAMED:
            refuse("schedule", name, f"best, a file .json, or one of {', '.join(NAMED)}")
        steps = n if self.steps is None else self.steps
        if not 1 <= steps <= n:
            refuse("steps", steps, f"an integer in 1..n with n = {n}")
        if name == "best":
            curve, how = curve_of(self.model, trained, track)
            return optimal_schedule(-curve.loss, steps), f"best {how}"
        return NAMED[name](n, steps), name

    def _result(self, trained: "Trained", traces: "Trace") -> dict[str, Any]:
        """One object of plain numbers, lists and strings."""
        import jax
        import numpy as np

        from ..traces.metrics import trace_statistics
        from .law_result import plain

        q, alphabet = trained.network.q, trained.alphabet
        found = jax.vmap(lambda trace: trace_statistics(trace, q))(traces)
        values = {"calls": traces.calls, **found._asdict()}
        tokens = np.asarray(traces.tokens)
        return plain(
            {
                "model": str(self.model),
                "n": trained.network.n,
                "q": q,
                "decoder": options_of(self.decoder),
                "temperature": self.temperature,
                "seed": self.seed,
                "samples": self.samples,
                "text": None if alphabet is None else [alphabet.decode(row) for row in tokens],
                "tokens": tokens,
                "finalised": traces.finalised,
                "statistics": {
                    name: _summary(np.asarray(value, np.float64)) for name, value in values.items()
                },
                "still_masked": int(np.sum(tokens == q)),
            }
        )


def _at_temperature(
    network: "AbstractDenoiser", decoder: "AbstractRule | AbstractDecoder", temperature: float
) -> tuple["AbstractDenoiser", "AbstractRule | AbstractDecoder"]:
    """What tokens are drawn from, and the decoder, with as few calls of the network as there can be."""
    import equinox as eqx

    from ..decoders.base import AbstractRule, Reveal
    from ..decoders.early_commit import EarlyCommit
    from .law_result import written

    if isinstance(decoder, AbstractRule):
        return network, Reveal(decoder, 0.0 if isinstance(decoder, EarlyCommit) else temperature)
    if temperature == 1 and getattr(decoder, "model", None) is not None:
        return network, eqx.tree_at(lambda kernel: kernel.model, decoder, None)  # it judges as it draws
    return written(network, decoder, temperature)


def _summary(values: Any) -> dict[str, float]:
    """The mean of the values that are numbers, its standard error, and how many they are."""
    known = values[~(values != values)]
    if known.size == 0:
        return {"mean": math.nan, "stderr": math.nan, "of": 0}
    error = known.std(ddof=1) / math.sqrt(known.size) if known.size > 1 else math.nan
    return {"mean": float(known.mean()), "stderr": float(error), "of": known.size}


def _shown(result: dict[str, Any]) -> str:
    """The sequences, and the means of what their traces say."""
    from .table import run_lengths

    lines = []
    for number in range(min(result["samples"], SHOWN)):
        row = result["tokens"][number]
        text = " ".join("_" if token == result["q"] else str(token) for token in row)
        lines += [f"--- {number + 1}", text if result["text"] is None else result["text"][number]]
    if result["samples"] > SHOWN:
        lines.append(f"--- and {result['samples'] - SHOWN} more (--json and --out have all)")
    labels = {
        "calls": "calls of the model",
        "parallelism": "tokens finalised a step that finalises any (AFP)",
        "kendall_tau": "Kendall's tau-b of position and step (1: left to right)",
        "tie_fraction": "pairs of positions finalised in one step",
    }
    lines += ["---", f"{result['decoder']['name']}; mean of {result['samples']} sequences, standard error:"]
    for name, label in labels.items():
        found = result["statistics"][name]
        mean, error = float(found["mean"]), float(found["stderr"])
        lines.append(f"{label:>58} {mean:9.4f} {error:9.4f}")
    if math.isnan(float(result["statistics"]["kendall_tau"]["mean"])):
        lines.append("tau is not a number: every sequence was finalised in one step, which has no order")
    if result["still_masked"]:
        lines.append(f"{result['still_masked']} positions were still masked when the steps ended")
    lines.append(
        f"schedule where the decoder takes one: {result['schedule']}: {run_lengths(result['counts'])}"
    )
    lines.append(
        f"{result['seconds']:.1f} s, compiling too" + (f"; {result['out']}" if result["out"] else "")
    )
    return "\n".join(lines)
