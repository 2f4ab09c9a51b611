"""The tables of `mdmjax law`, plain where the output is not a terminal."""

from io import TextIOBase
from typing import Any

from rich.box import ASCII, HEAVY_HEAD, Box
from rich.console import Console
from rich.table import Table

from .table import PLAIN_WIDTH


def show(result: dict[str, Any], stream: TextIOBase) -> None:
    """Write the result of one decoder, or of all: what it is of, the numbers, and what is what."""
    terminal = stream.isatty()
    console = Console(file=stream, width=None if terminal else PLAIN_WIDTH, highlight=False)
    box = HEAVY_HEAD if terminal and console.encoding.startswith("utf") else ASCII
    with console.capture() as captured:  # rich would exit by itself where the reader of a pipe left
        console.print(_heading(result), markup=False)
        if "decoders" in result:
            console.print(_all(result, box))
            for row in result["decoders"]:
                if "skipped" in row:
                    console.print(f"{_name(row)}: {row['skipped']}", markup=False)
        else:
            console.print(_one(result, box))
        for line in _legend(result):
            console.print(f"\n{line}", markup=False)
    stream.write(captured.get())


def _heading(result: dict[str, Any]) -> str:
    lines = [result["title"], f"n = {result['n']} positions, q = {result['q']} symbols"]
    if "denoiser" in result:
        errors = result["denoiser"]
        told = (
            errors if isinstance(errors, str) else ", ".join(f"{k} {_value(v)}" for k, v in errors.items())
        )
        lines[-1] += f"; denoiser: {told}; counts {_counts(result['counts'])} where a decoder takes any"
    if "local_circulation" in result:
        worst = max(result["local_circulation"])
        what = "local circulation: log-ratio of the two orders of a pair of tokens, mean size at most"
        lines.append(f"{what} {_number(worst)} nats")
    return "\n".join([*lines, ""])


def _one(result: dict[str, Any], box: Box) -> Table:
    """Every number of one decoder, with what it is."""
    table = Table(box=box, show_edge=False)
    table.add_column(_name(result), no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    if result["stderr"]:
        table.add_column("stderr", justify="right", no_wrap=True)
    for key, label in _labels(result).items():
        if result.get(key) is not None:
            error = [_number(result["stderr"].get(key, 0.0))] if result["stderr"] else []
            table.add_row(label, _number(result[key]), *error)
    return table


def _labels(result: dict[str, Any]) -> dict[str, str]:
    """What each key of the result is, in words, in the order of the table."""
    return {
        "forward_kl": "forward KL(p || law), nats",
        "expected_kl": "mean over random partitions of KL(p || law given the partition), nats",
        "sampling_error": "  of it by the schedule",
        "learning_error": "  of it by the denoiser",
        "reverse_kl": "reverse KL(law || p), nats",
        "total_variation": "total variation",
        "chi_square": "chi-square(p || law)",
        "hellinger": "Hellinger distance",
        "incoherence": f"incoherence: mass of {result['incoherence_of']} with p <= {result['epsilon']:g}",
        "violation_rate": "blocks that violate their parity",
        "expected_calls": f"expected calls ({result['call']})",
        "least_proposals": "  no fewer than (Prop. 5.1)",
        "unfinished": "mass that had not finished",
        "regret": "regret: forward KL less that of the best policy with as many calls, nats",
    }


def _all(result: dict[str, Any], box: Box) -> Table:
    """One row a decoder, the least forward KL first."""
    rows = [row for row in result["decoders"] if "skipped" not in row]
    hmm = any(row["violation_rate"] is not None for row in rows)
    table = Table(box=box, show_edge=False)
    headings = ["decoder", "calls", "forward KL", "reverse KL", "TV", "incoherent"]
    for heading in [*headings, *(["parity"] if hmm else []), "regret"]:
        table.add_column(heading, justify="left" if heading == "decoder" else "right", no_wrap=True)
    for row in sorted(rows, key=lambda row: (float(row["forward_kl"]), row["expected_calls"])):
        keys = ["forward_kl", "reverse_kl", "total_variation", "incoherence"]
        numbers = [_number(row[key]) for key in [*keys, *(["violation_rate"] if hmm else []), "regret"]]
        table.add_row(_name(row), f"{float(row['expected_calls']):.3f}", *numbers)
    return table


def _legend(result: dict[str, Any]) -> list[str]:
    """What to take from the numbers."""
    every = "decoders" in result
    rows = result["decoders"] if every else [result]
    lines = []
    if any(row.get("expected_kl") is not None for row in rows) and not every:
        lines.append(
            "A random order has two numbers: the law is the mixture over partitions; its forward KL is at "
            "most the mean over partitions, which is what `mdmjax schedule` minimises."
        )
    if any(row.get("regret") is not None for row in rows):
        lines.append(
            "regret: against the lower convex hull of (expected calls over the data, KL) of all "
            "deterministic decoders that only reveal, by Bellman's recursion with the same denoiser. "
            "Below 0 is possible for a decoder that is random, masks again or verifies."
        )
    if any(row.get("unfinished") for row in rows):
        lines.append("Mass that had not finished is not in the law: KL is of the mass that had.")
    if result.get("exact", True):
        return [*lines, "Exact: the law is propagated, not sampled."]
    return [*lines, f"Estimated from {result['samples']} sequences."]


def _name(row: dict[str, Any]) -> str:
    """The decoder with its options, as `threshold 0.9`."""
    options = {key: value for key, value in row["decoder"].items() if key != "name" and value is not None}
    told = " ".join(f"{key} {_value(value)}" for key, value in options.items() if value is not False)
    return f"{row['decoder']['name']}  {told}".strip()


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(f"{item:g}" for item in value)
    return "" if value is True else f"{value:g}" if isinstance(value, float) else str(value)


def _counts(counts: list[int]) -> str:
    from .table import run_lengths

    return run_lengths(counts)


def _number(value: float | str) -> str:
    """Ten digits would be too many: enough to compare."""
    value = float(value)
    if abs(value) < 1e-12:
        return "0"
    return f"{value:.6f}" if 1e-4 <= abs(value) < 1e6 else f"{value:.3e}"
