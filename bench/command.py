"""How long the command line takes to answer."""

import subprocess
import sys

from ._timing import Row, seconds


def run() -> list[Row]:
    def call(*words: str) -> None:
        subprocess.run([sys.executable, "-c", *words], check=True, capture_output=True)

    helps = "import sys; from mdmjax.cli import main; sys.exit(main(['--help']))"
    ours, _ = seconds(lambda: call(helps), runs=7)
    theirs, _ = seconds(lambda: call("import jax"), runs=7)
    return [Row("mdmjax --help", ours, 0.0, "import jax", theirs, 0.0, "at most 0.5 s is wanted")]
