"""Both KLs of mean-field decoding over the Block-HMM's bits, chain, block size and parity noise."""

import numpy as np
from matplotlib.figure import Figure

from ._rows import rows_of, values_of
from ._style import legend_below, new_figure, panel_label
from .block_hmm_decoding import EXPERIMENT  # noqa: F401

LINES = ("-", "--", ":", "-.")
MARKERS = "os^vDP"
SHADES = ("0.0", "0.4", "0.65", "0.8")
PAPER = 0.9
"""The bias of the paper's bits."""
COLUMNS = {
    "forward_kl": "forward KL, nats a bit",
    "reverse_kl": "reverse KL, nats a bit",
    "violation_rate": "blocks that violate parity",
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Above over the bias of the bits at the least noise, below over the noise at the bias of the paper."""
    arrays = rows_of(arrays, {"source.blocks": min(values_of(arrays, "source.blocks"))})
    sizes, kept = values_of(arrays, "source.block_size"), values_of(arrays, "source.kept")
    least, shown = values_of(arrays, "source.eta")[0], values_of(arrays, "source.bias")
    most = min(shown, key=lambda bias: abs(bias - PAPER))
    figure, grid = new_figure(2, len(COLUMNS), height=4.8)
    for row, (over, fixed) in enumerate(
        (("source.bias", {"source.eta": least}), ("source.eta", {"source.bias": most}))
    ):
        for axes, (name, title) in zip(grid[row], COLUMNS.items(), strict=True):
            for size, shade, marker in zip(sizes, SHADES, MARKERS, strict=False):
                for one, line in zip(kept, LINES, strict=False):
                    equal = {"decoder": "mean-field", "source.block_size": size, "source.kept": one}
                    rows = rows_of(arrays, equal | fixed)
                    bits = rows["source.blocks"] * size if name.endswith("kl") else 1
                    label = f"blocks of {size:g}, $a$ = {one:g}"
                    axes.plot(
                        rows[over],
                        rows[name] / bits,
                        color=shade,
                        linestyle=line,
                        marker=marker,
                        label=label,
                    )
            axes.margins(y=0.12)
            axes.set_ylim(0, None)
            panel_label(axes, title)
        if over == "source.eta":
            for axes in grid[row]:
                axes.set_xscale("log")
                axes.set_xlabel(f"parity noise $\\eta$ ($\\rho$ = {most:g})")
        else:
            for axes in grid[row]:
                axes.set_xlabel(f"bias of the bits $\\rho$ ($\\eta$ = {least:g})")
    legend_below(figure, grid[0, 0], 3)
    return figure
