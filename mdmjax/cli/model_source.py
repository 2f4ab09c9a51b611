"""The SOURCE of the command line that is a trained model."""

import dataclasses
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from .file_sources import check_bootstrap, measured
from .loaded import Loaded, Track
from .setting import OptionalInt


@dataclasses.dataclass(frozen=True)
class ModelCurve:
    """Model that `mdmjax train` wrote: its loss curve, measured now on held-out data."""

    name: ClassVar[str] = "model"

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    """The model's folder."""
    sequences: OptionalInt = None
    """Held-out sequences, each seen at every number of masked tokens; 64, or 4096 / n if that is more."""
    batch: int = 64
    """Sequences that the model sees at once: bounds the memory."""
    isotonic: bool = False
    """Replace the curve by its nearest nonincreasing fit."""
    bootstrap: int = 0
    """Replicates for 95% intervals of the gain over uniform and of each boundary."""
    seed: int = 0
    """Seed of the sequences, of their masks, and of the bootstrap."""

    def load(self, track: Track) -> Loaded:
        """Measured."""
        from .measure import measure
        from .trained import open_model

        check_bootstrap(self.bootstrap, self.seed)
        trained = open_model(self.folder)
        found = measure(trained, self.sequences, self.seed, self.batch, track)
        method = f"measured on {found.calls // found.losses.n} held-out sequences"
        facts = {"length_given": True, "seconds": found.seconds}
        title, q = f"model {self.folder}", trained.network.q
        return measured(found.losses.table(), title, method, facts, isotonic=self.isotonic, q=q)
