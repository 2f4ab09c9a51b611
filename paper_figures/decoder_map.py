"""Which decoder has the least KL, by family and by the error of the model, among those of few calls."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._rows import rows_of, values_of
from ._style import new_figure, panel_label

EXPERIMENT = "decoders"

LETTERS = {
    ("random", "llada_uniform"): ("R", "random, equal steps"),
    ("random", "best"): ("B", "random, best steps"),
    ("l2r", "llada_uniform"): ("L", "left to right"),
    ("dilated", "llada_uniform"): ("D", "dilated"),
    ("entropy", "llada_uniform"): ("E", "easy-first, entropy"),
    ("confidence", "llada_uniform"): ("C", "easy-first, confidence"),
    ("hard-first", "llada_uniform"): ("H", "hard-first"),
    ("low-confidence", "llada_uniform"): ("M", "low-confidence (masks again)"),
    ("threshold", "llada_uniform"): ("T", "confidence threshold"),
    ("entropy-bounded", "llada_uniform"): ("S", "entropy-bounded"),
}
FAMILIES = {
    "markov": ("source.flip", "Markov, flip {:g}"),
    "noisy-bit": ("source.flip", "noisy bit, flip {:g}"),
    "block-hmm": ("source.eta", "Block-HMM, $\\eta$ {:g}"),
    "parity": ("source.n", "parity code"),
    "random-table": ("source.concentration", "random table, {:g}"),
}
PANELS = {"forward_kl": "forward KL", "reverse_kl": "reverse KL"}
SAME = 1e-6
"""A decoder within this ratio of the least KL wins too; below `ZERO` nats nothing is told apart."""
ZERO = 1e-9


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """A panel a KL: letters of the winners; the shade is their KL over that of random equal steps."""
    calls = arrays["steps"][0]
    families = [(name, value) for name in values_of(arrays, "source") for value in _members(arrays, name)]
    errors = values_of(arrays, "mix")
    figure, grid = new_figure(1, len(PANELS), height=3.6, sharey=True)
    image = None
    for axes, (kl, title) in zip(grid[0], PANELS.items(), strict=True):
        shades = np.zeros((len(families), len(errors)))
        for place in np.ndindex(*shades.shape):
            (name, value), error = families[place[0]], errors[place[1]]
            rows = rows_of(arrays, {"source": name, FAMILIES[name][0]: value, "mix": error})
            letters, shades[place] = _winners(rows, kl, calls)
            axes.text(place[1], place[0], letters, ha="center", va="center", fontsize=6.5)
        image = axes.imshow(shades, cmap="Greys_r", vmin=-0.6, vmax=1.0, aspect="auto")
        _ticks(axes, errors)
        panel_label(axes, f"least {title}, at most {calls:g} expected calls")
    labels = [FAMILIES[name][1].format(value) for name, value in families]
    grid[0, 0].set_yticks(range(len(labels)), labels)
    bar = figure.colorbar(image, ax=grid[0], shrink=0.9, boundaries=np.linspace(0, 1, 65))
    bar.set_label("its KL over that of random equal steps")
    bar.ax.set_xlabel("ratio")
    bar.set_ticks([0, 0.25, 0.5, 0.75, 1])
    words = [f"{letter}  {label}" for letter, label in LETTERS.values()]
    lines = ["      ".join(words[start : start + 4]) for start in range(0, len(words), 4)]
    lines.append("+: and others, equally good    0: no KL is left    blank: every one is infinite")
    figure.supxlabel("\n".join(lines), fontsize=7)
    return figure


def _members(arrays: dict[str, np.ndarray], name: str) -> list[float]:
    """The members of a family, by the number in which they differ."""
    return values_of(rows_of(arrays, {"source": name}), FAMILIES[name][0])


def _winners(rows: dict[str, np.ndarray], kl: str, calls: float) -> tuple[str, float]:
    """The letter of the best decoder of few calls, and its KL over that of random equal steps."""
    few = rows["expected_calls"] <= calls * (1 + SAME)
    values = np.where(few & np.isfinite(rows[kl]), rows[kl], np.inf)
    base = rows_of(rows, {"decoder": "random", "schedule": "llada_uniform"})[kl][0]
    least = values.min()
    if not np.isfinite(least):
        return "", 1.0
    if least < ZERO:
        return "0", 0.0
    pairs = zip(rows["decoder"].tolist(), rows["schedule"].tolist(), strict=True)
    won = [
        LETTERS[pair][0] for pair, value in zip(pairs, values, strict=True) if value <= least * (1 + SAME)
    ]
    distinct = list(dict.fromkeys(won))
    return distinct[0] + "+" * (len(distinct) > 1), float(least / base)


def _ticks(axes: Axes, errors: list[float]) -> None:
    axes.set_xticks(range(len(errors)), [f"{error:g}" for error in errors], rotation=45)
    axes.set_xlabel("share of every row that is uniform, $\\delta$")
    axes.grid(visible=False)
    axes.tick_params(length=0)
