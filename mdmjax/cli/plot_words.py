"""`--plot x=COLUMN,y=COLUMN,...` of a sweep: what is drawn against what, and into which file."""

from pathlib import Path
from typing import Any

from .._errors import perhaps, refuse

KEYS = ("x", "y", "color", "panel", "log", "file")
LOGS = {"x": "x", "y": "y", "xy": "xy", "yx": "xy"}


def plotted(text: str, folder: Path) -> tuple[Any, Path]:
    """The `Plot` of the words, and its file, `_plot.png` in the folder of the rows if they name none."""
    from ..sweeps.lines import Plot

    found: dict[str, str] = {}
    for word in text.split(","):
        key, equals, value = word.partition("=")
        if key not in KEYS:
            refuse("plot", word or "''", f"KEY=COLUMN with one of {', '.join(KEYS)}", perhaps(key, KEYS))
        if not equals or not value:
            refuse("plot", word, f"{key}=FILE" if key == "file" else f"{key}=COLUMN")
        if key in found:
            refuse("plot", f"{key}={found[key]} and {word}", f"{key} once")
        found[key] = value
    for key in ("x", "y"):
        if key not in found:
            refuse("plot", text, f"{key}=COLUMN too", "as x=mix,y=forward_kl,color=decoder")
    log = found.get("log", "")
    if log and log not in LOGS:
        refuse("plot", f"log={log}", "log=x, log=y or log=xy")
    several = {key: tuple(found[key].split("+")) for key in ("color", "panel") if key in found}
    path = Path(found.get("file", folder / "_plot.png"))
    inside = path.resolve().is_relative_to(folder.resolve())
    below = path.resolve().relative_to(folder.resolve()).parts if inside else ("_",)
    if not any(name.startswith(("_", ".")) for name in below):
        why = f"a reader of {folder} would take it for rows; those that begin with _ are left alone"
        refuse("plot", f"file={path}", "a file in another folder, or a name that begins with _", why)
    return Plot(found["x"], found["y"], log=LOGS.get(log, ""), **several), path
