"""What a reader is shown of certificates: the table of promises, the intervals from draws, what is what."""

import math
from collections.abc import Callable
from typing import Any

from .report import four_decimals, run_lengths
from .table import Column, Part, Table

NAMES = {
    "optimum": "optimum",
    "theorem9_tc": "CCL Theorem 9, TC",
    "theorem9_dtc": "CCL Theorem 9, DTC",
    "austin": "Austin: singles, equal",
    "li_cai": "Li-Cai: equal steps",
    "square_root": "square-root rule",
    "equal_entropy": "equal entropy (EDS)",
    "ugc_sizes": "UGC Theorem 1",
    "ugc_geometric": "UGC Corollary 1",
    "ugc_blocks": "UGC Proposition 1",
    "ugc_programme": "UGC integer programme",
    "effective_tc": "DHW effective TC",
    "random_sizes_tc": "random sizes, TC",
    "random_sizes_dtc": "random sizes, DTC",
    "root_mass": "UGC Theorem 3, root",
    "ugc_samples": "UGC Theorem 2, draws",
    "ugc_samples_entropy": "UGC draws, entropies",
    "ugc_samples_plugged": "UGC draws, B plugged in",
}
"""What a promise is called in the table, by its name in JSON."""

KINDS = (
    "theorem: proved in its paper. ours: the paper has orders only; plan and constants are ours, with a "
    "proof. prediction: in the limit of many steps, no bound. estimate: a theorem but for a bound B that "
    "is itself estimated. rule: promises nothing; the fewest steps that are good enough in truth, if any."
)
TRUTH = (
    "true: expected KL(data || sampler) in nats of that very plan, the mean over random partitions, exact "
    "for a perfect denoiser; best: the least of as many calls (-: not sought); more: calls over those of "
    "the optimum. fixed sizes: a step reveals a fixed number of tokens. random: a step reveals each masked "
    "token with one probability; the few tokens outside the grid go one at a time, and calls are the mean "
    "number. true -: more calls than tokens, where one token at a time is exact."
)
PAPERS = (
    "CCL and Austin: arXiv 2511.04647. UGC: 2608.13520. DHW: 2602.15008. Li-Cai: 2505.21400. EDS: "
    "2602.06849. Square root: 2510.25544, derived anew. Random sizes: after 2602.20126, their law is ours."
)
MODEL = (
    "Of a model it is its sampling error only: true is what the plan loses against one token at a time, "
    "by the losses that were measured. What the model itself does not know is in no number here."
)
ESTIMATED = (
    "The curve is estimated, so that true is the estimate of the expected KL by it: `mdmjax schedule` of "
    "this source judges a schedule on other draws, with an interval."
)
SAMPLE = (
    "Growth mass H of each block of times from {samples} sequences ({calls} calls): with probability "
    "{level:.4g} all are inside. known B: a bound of moments that holds before the draws (alpha "
    "{alpha:.3g}, B {moment:.4g}), Proposition 2; entropies: differences of entropies, which are bounded, "
    "in place of divergences (ours); plugged in: the moments of these draws, which is no theorem."
)
NETWORK = (
    "They are theorems for conditionals of the law that the sequences are of; a network's are near at best."
)


def parts_of(found: dict[str, Any]) -> list[Part]:
    """The heading, one or two tables, and the legend, from what JSON has."""
    sizes = f"n = {found['n']} positions" + (f", q = {found['q']} symbols" if found["q"] else "")
    tc, dual, effective, mass, coarse, fine = (
        four_decimals(float(found[key]))
        for key in (
            "total_correlation",
            "dual_total_correlation",
            "effective_total_correlation",
            "growth_mass",
            "growth_coarse",
            "growth_fine",
        )
    )
    ratio = "" if found["growth_ratio"] is None else f", ratio {found['growth_ratio']:.3f}"
    heading = [
        found["title"],
        f"{sizes}; {found.get('method', '')}",
        f"total correlation {tc}, dual {dual}, effective {effective} nats",
        f"unmasking growth: mass {mass}, one block C {coarse}, finest P {fine} nats{ratio}",
    ]
    asked = f"What each theory promises for at most {found['epsilon']:g} nats, and what is true:"
    parts: list[Part] = ["\n".join(heading), asked, _promises(found)]
    if (sample := found["sample"]) is not None:
        how = {key: sample[key] for key in ("samples", "calls", "alpha", "moment")}
        parts += [SAMPLE.format(**how, level=1 - sample["eta"]), _sample(sample)]
        parts += [] if found["exact"] or "draws" in found else [NETWORK]
    about = ESTIMATED if "draws" in found else MODEL  # draws: of a hidden Markov model
    return [*parts, TRUTH, KINDS, PAPERS, *([] if found["exact"] else [about])]


def _promises(found: dict[str, Any]) -> Table:
    """The optimum, and every promise by its calls."""
    first, *others = found["promises"]
    others.sort(key=lambda row: row["steps"] if row["calls"] is None else row["calls"])
    best = first["calls"]

    def calls(row: dict[str, Any]) -> str:
        if row["calls"] is None:
            return str(row["steps"])
        return f"{row['calls']:.1f}" if row["sizes"] == "random" else str(row["calls"])

    nats = lambda key: lambda row: "-" if row[key] is None else four_decimals(row[key])
    times = lambda value: f"x{value:.2f}" if value < 100 else f"x{value:.1e}"
    columns = [
        Column("theory", lambda row: NAMES[row["name"]], justify="left"),
        Column("promise", "kind", justify="left"),
        Column("sizes", "sizes", justify="left", optional=True),
        Column("calls", calls),
        Column(
            "more", lambda row: "" if row["calls"] is None else times(row["calls"] / best), optional=True
        ),
        Column("promised", nats("promised")),
        Column("true", nats("true")),
        Column("best", nats("optimum")),
        Column("ratio", lambda row: "" if row["ratio"] is None else times(row["ratio"])),
        Column("kept", lambda row: "-" if row["kept"] is None else "yes" if row["kept"] else "NO"),
    ]
    in_full = f"The optimum: {run_lengths(first['counts'])}."
    return Table(columns, [first, *others], bold=lambda row: row is first, in_full=in_full)


def _sample(sample: dict[str, Any]) -> Table:
    """The intervals of every block."""
    ends = (sample["edges"][:-1], sample["edges"][1:])
    kinds = (sample[kind] for kind in ("known", "entropy", "plugged"))
    rows = zip(*ends, sample["mass"], *kinds, strict=True)

    def time(place: int) -> Callable[[Any], str]:
        return lambda row: f"{1 / (1 + math.exp(-row[place])):.4f}"

    def interval(place: int) -> Callable[[Any], str]:
        return lambda row: " to ".join(four_decimals(row[place][end]) for end in ("lower", "upper"))

    columns = [
        Column("from time", time(0)),
        Column("to", time(1)),
        Column("H", lambda row: four_decimals(float(row[2]))),
        Column("known B", interval(3)),
        Column("entropies", interval(4)),
        Column("B plugged in", interval(5)),
    ]
    return Table(columns, list(rows))
