"""Pictures that a command is asked for: looked at before any work."""

import importlib.util
from pathlib import Path

from .._errors import refuse
from ..files.atomic import check_writable


def check_picture(path: Path) -> None:
    """Refuse a picture that could not be written, or when matplotlib, an extra, is not installed."""
    if path.suffix.lower() not in (".png", ".pdf"):
        refuse("plot", str(path), "a name that ends in .png or .pdf")
    check_writable("plot", path)
    if importlib.util.find_spec("matplotlib") is None:
        refuse("plot", "not possible here", "matplotlib", "pip install 'mdmjax[figures]'")
