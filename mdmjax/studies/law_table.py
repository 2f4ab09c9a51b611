"""What a reader is shown of a law, or of many in one table."""

from typing import Any

from .report import run_lengths, six_decimals
from .table import Column, Part, Table


def parts_of_one(found: dict[str, Any]) -> list[Part]:
    """Every number of one decoder, with what it is."""
    stderr = found["stderr"] or {}
    labels = {key: label for key, label in _labels(found).items() if found.get(key) is not None}
    rows = [(label, found[key], stderr.get(key, "")) for key, label in labels.items()]
    columns = [Column(_name(found["decoder"]), 0, justify="left"), Column("", 1, six_decimals)]
    columns += [Column("stderr", 2, six_decimals)] * bool(stderr)
    return [_heading(found), Table(columns, rows), *_legend([found], several=False)]


def parts_of_all(found: dict[str, Any]) -> list[Part]:
    """One row a decoder, the least forward KL first."""
    known = [row for row in found["decoders"] if "skipped" not in row]
    rows = sorted(known, key=lambda row: (float(row["forward_kl"]), float(row["expected_calls"])))
    columns = [
        Column("decoder", lambda row: _name(row["decoder"]), justify="left"),
        Column("calls", "expected_calls", "{:.3f}".format),
        Column("forward KL", "forward_kl", six_decimals),
        Column("reverse KL", "reverse_kl", six_decimals),
        Column("TV", "total_variation", six_decimals),
        Column("incoherent", "incoherence", six_decimals),
        Column("parity", "violation_rate", six_decimals),
        Column("regret", "regret", six_decimals),
    ]
    if all(row["violation_rate"] is None for row in rows):
        del columns[-2]
    refused = [row for row in found["decoders"] if "skipped" in row]
    skipped = [f"{_name(row['decoder'])}: {row['skipped']}" for row in refused]
    return [_heading(found), Table(columns, rows), *skipped, *_legend(rows, several=True)]


def _heading(found: dict[str, Any]) -> str:
    lines = [found["title"], f"n = {found['n']} positions, q = {found['q']} symbols"]
    if "denoiser" in found:
        told = found["denoiser"]
        if not isinstance(told, str):
            told = ", ".join(f"{key} {_value(value)}" for key, value in told.items())
        lines[-1] += f"; denoiser: {told}"
    if "counts" in found:
        lines[-1] += f"; counts {run_lengths(found['counts'])} where a decoder takes any"
    if "local_circulation" in found:
        worst = max(float(x) for x in found["local_circulation"])
        what = "local circulation: log-ratio of the two orders of a pair of tokens, mean size at most"
        lines.append(f"{what} {six_decimals(worst)} nats")
    return "\n".join(lines)


def _labels(row: dict[str, Any]) -> dict[str, str]:
    """What each key of a row is, in words, in the order of the table."""
    return {
        "forward_kl": "forward KL(p || law), nats",
        "expected_kl": "mean over random partitions of KL(p || law given the partition), nats",
        "sampling_error": "  of it by the schedule",
        "learning_error": "  of it by the denoiser",
        "reverse_kl": "reverse KL(law || p), nats",
        "total_variation": "total variation",
        "chi_square": "chi-square(p || law)",
        "hellinger": "Hellinger distance",
        "incoherence": f"incoherence: mass of {row['incoherence_of']} with p <= {row['epsilon']:g}",
        "violation_rate": "blocks that violate their parity",
        "expected_calls": f"expected calls, NFE ({row['call']})",
        "least_proposals": "  no fewer than (Prop. 5.1)",
        "unfinished": "mass that had not finished",
        "regret": "regret: forward KL less that of the best policy with as many calls, nats",
    }


def _legend(rows: list[dict[str, Any]], *, several: bool) -> list[str]:
    """What to take from the numbers."""
    lines = []
    if not several and "expected_kl" in rows[0]:
        lines.append(
            "A random order has two numbers: the law is the mixture over partitions; its forward KL is at "
            "most the mean over partitions, which is what `mdmjax schedule` minimises."
        )
    if any("regret" in row for row in rows):
        lines.append(
            "regret: against the lower convex hull of (expected calls over the data, KL) of all "
            "deterministic decoders that only reveal, by Bellman's recursion with the same denoiser. "
            "Below 0 is possible for a decoder that is random, masks again or verifies; undefined where "
            "every policy has an infinite KL."
        )
    if any(float(row.get("unfinished", 0)) for row in rows):
        lines.append("Mass that had not finished counts as one more outcome, which the data never have.")
    if all(row["exact"] for row in rows):
        way = "" if several else f" (way: {rows[0]['way']})"
        return [*lines, f"Exact: the law is propagated, not sampled{way}."]
    return [*lines, f"Estimated from {rows[0]['samples']} sequences."]


def _name(decoder: dict[str, Any]) -> str:
    """The decoder with its parameters, as `threshold  threshold 0.9`."""
    options = {key: value for key, value in decoder.items() if key != "name" and value is not None}
    told = " ".join(f"{key} {_value(value)}" for key, value in options.items() if value is not False)
    return f"{decoder['name']}  {told}".strip()


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(f"{item:g}" for item in value)
    return "" if value is True else f"{value:g}" if isinstance(value, float) else str(value)
