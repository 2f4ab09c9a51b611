"""The small model of text: the likelihood of its decoders on held-out windows, against their calls.

Random orders and low confidence have a bound, which is above the NLL; the others are exact.
"""

import numpy as np
from matplotlib.figure import Figure

from ._decoders import draw_decoders
from ._style import new_figure

EXPERIMENT = "text_model"


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """One panel."""
    figure, ((axes,),) = new_figure(1, 1, height=3.6)
    draw_decoders(axes, arrays, "a window of 128")
    return figure
