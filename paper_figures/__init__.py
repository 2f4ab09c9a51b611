"""One file a figure: `EXPERIMENT` and `draw(arrays) -> Figure`; nothing is computed here."""
