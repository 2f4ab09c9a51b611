"""`mdmjax law SOURCE DECODER`: the exact output law of a decoder, beside the truth and the best."""

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from .._errors import refuse
from ..files.atomic import write_bytes
from .kernels import COMPARED, All, DecoderChoice
from .loaded import Model, Track, options_of
from .pictures import check_picture
from .setting import DecoderOptions, OptionalFloat, OptionalInt, check_above_zero, check_share
from .sources import DistributionSource


@dataclasses.dataclass(frozen=True)
class LawCommand:
    """Exact output law of a decoder: how far from the truth, at what cost, how far from the best."""

    source: DistributionSource
    """The truth."""
    decoder: DecoderChoice = All()
    """The decoder; without one, all of them in one table."""
    counts: Annotated[str | None, tyro.conf.arg(metavar="S1,S2,...")] = None
    """Tokens revealed at each step; they sum to n."""
    steps: OptionalInt = None
    """Number of steps, sized by --schedule. With neither: one token a step; for all decoders, n/2 steps."""
    schedule: Literal["llada_uniform", "dllm_cosine", "pyramid", "geometric", "best"] = "llada_uniform"
    """How --steps sizes its steps; best: the optimum for random order."""
    temperature: float = 1.0
    """Tokens are drawn at this temperature, 0: the argmax. Choices go by the model's own rows, except
    in kernels that draw before they choose."""
    model: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """The denoiser is the model that `mdmjax train` wrote here, instead of the oracle."""
    mix: OptionalFloat = None
    """Model error: a share MIX of every row is uniform."""
    dirichlet: OptionalFloat = None
    """Model error: every row is a draw from the Dirichlet law of this concentration around it."""
    entropy_noise: OptionalFloat = None
    """Model error: KL(model || truth) of every row is this share of its entropy (Assumption 4.2)."""
    seed: int = 0
    """Seed of --dirichlet and --samples."""
    epsilon: float = 1e-8
    """Incoherent: of probability at most this."""
    samples: OptionalInt = None
    """Estimate the long Block-HMM from this many sequences instead of exactly."""
    regret: bool = False
    """Also how far the forward KL is from that of the best policy with as many expected calls."""
    compare: bool = False
    """All decoders in one table, whatever DECODER is, with their regret."""
    json: bool = False
    """Print one JSON object instead of the table."""
    plot: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Draw the law, or the table's KL against calls, into this .png or .pdf file."""

    def run(self) -> None:
        """Compute, write the picture if it is asked for, and print."""
        from .progress import track

        self._check()
        decoder = All() if self.compare else self.decoder
        # The paper's decoders of a Block-HMM of no given size: the paper's Block-HMM.
        source, sizes = self.source, self.source.law_sizes
        if decoder.paper_sizes and source.name == "block-hmm" and not self._errors():
            untouched = all(getattr(source, key) is None for key in sizes)
            sizes = decoder.paper_sizes if untouched else sizes
        source = source.sized(sizes)
        model = source.model(track)
        result = self._result(model, decoder, track)
        result = {"source": options_of(source), "title": model.title} | result | model.facts
        if self.plot:
            from .law_plot import draw

            write_bytes(self.plot, draw(result, self.plot.suffix[1:].lower()))
        if self.json:
            print(json.dumps({k: v for k, v in result.items() if k != "truth"}, allow_nan=False))
        else:
            from .law_table import show

            show(result, sys.stdout)

    def _result(self, model: Model, decoder: DecoderOptions, track: Track) -> dict[str, Any]:
        """The object that is printed and drawn."""
        from ..policies.regret import calls_hull
        from .law_result import compared, is_long, law_result, long_result, plain, setting_of

        n, q = model.distribution.n, model.distribution.q
        head = {"n": n, "q": q, "units": "nats", "epsilon": self.epsilon}
        if is_long(model) and decoder.paper_sizes:
            known = ("counts", "steps", "plot", "regret")
            unfit = [name for name in known if getattr(self, name) not in (None, False)]
            if self._errors() or unfit:
                given = ", ".join([*self._errors(), *unfit])
                bits = f"a Block-HMM of {n} bits, whose law is not a table"
                remedy = (
                    "fewer blocks, as --blocks 2 --block-size 4, have them all; --json has these numbers"
                )
                refuse(given, "given", f"none of it with {bits}", remedy)
            return head | long_result(model.distribution, decoder, self.epsilon, self.samples, self.seed)
        if self.samples is not None:
            refuse("samples", self.samples, "none", "the law of this decoder is exact")
        options = self
        if self.all(decoder) and self.counts is None and self.steps is None:
            options = dataclasses.replace(self, steps=-(-n // 2))  # one by one all are alike
        setting = setting_of(model, options)
        head["counts"] = setting.schedule.counts.tolist()
        head["denoiser"] = "the oracle" if not self._errors() else self._errors()
        if self.model is not None and n > 1:
            from ..losses.circulation import local_circulation

            head["local_circulation"] = local_circulation(setting.joint, setting.model).mean_abs
        hull = calls_hull(setting.joint, setting.model) if self.regret or self.all(decoder) else None
        if not self.all(decoder):
            return plain(head | law_result(setting, decoder, options, hull))
        rows = [compared(setting, one(), options, hull) for one in track(COMPARED, "decoding")]
        best = {"calls": hull.calls, "kl": hull.kl}
        return plain(head | {"decoders": rows, "best_policies": best})

    def all(self, decoder: DecoderOptions) -> bool:
        """Whether the table of all decoders is asked for."""
        return isinstance(decoder, All)

    def _errors(self) -> dict[str, float | str]:
        """What makes the denoiser, or the writing, differ from the oracle."""
        model = {} if self.model is None else {"model": str(self.model)}
        knobs = {name: getattr(self, name) for name in ("mix", "dirichlet", "entropy_noise")}
        temperature = {} if self.temperature == 1 else {"temperature": self.temperature}
        return model | {name: value for name, value in knobs.items() if value is not None} | temperature

    def _check(self) -> None:
        """Refuse, before any work, options that do not fit or a file that could not be written."""
        if not 0 <= self.temperature < math.inf:
            refuse("temperature", self.temperature, "a finite number >= 0", "0 writes the argmax")
        if not 0 <= self.epsilon <= 1:
            refuse("epsilon", self.epsilon, "a probability in [0, 1]")
        check_share("mix", self.mix)
        check_above_zero("dirichlet", self.dirichlet)
        check_above_zero("entropy-noise", self.entropy_noise)
        if not 0 <= self.seed < 2**63:
            refuse("seed", self.seed, "an integer in 0..2^63-1")
        if self.plot:
            check_picture(self.plot)
