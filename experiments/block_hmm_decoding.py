"""Figure 3 of arXiv 2602.00286 with no sampling: mean-field and verified decoding of its Block-HMM.

Forward KL hardly sees the parity noise and reverse KL grows with its logarithm. Half of the decoded
blocks violate their parity whatever the noise: incoherence falls because its threshold is passed.
"""

import dataclasses

import numpy as np

from mdmjax import BlockHMM
from mdmjax.laws.block_decoding import block_decoding

from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    blocks: int = 8
    block_size: int = 8
    etas: tuple[float, ...] = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
    """Parity noise."""
    threshold: float = 1e-8
    """A block is incoherent if its conditional probability is at most this."""


SMOKE = Config(blocks=2, block_size=4, etas=(1e-8, 1e-4))


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """KL in nats of whole sequences; rates of blocks. Verified KLs are 0, for its blocks are exact."""
    results = [
        block_decoding(
            BlockHMM(config.blocks, config.block_size, eta=eta), incoherence_threshold=config.threshold
        )
        for eta in progress(config.etas, "parity noise")
    ]
    names = ("forward_kl", "reverse_kl", "incoherence", "violation_rate")
    mean_field = np.array([[float(getattr(result, name)) for name in names] for result in results])
    verified = np.array(
        [[0.0, 0.0, float(r.verified_incoherence), float(r.verified_violation_rate)] for r in results]
    )
    return {
        "eta": np.array(config.etas),
        "threshold": np.array(config.threshold),
        "metric": np.array(["forward_kl_nats", "reverse_kl_nats", "incoherence", "violation_rate"]),
        "mean_field": mean_field,
        "verified": verified,
        "forward_kl_by_block_nats": np.stack([np.asarray(r.forward_kl_by_block) for r in results]),
        "reverse_kl_by_block_nats": np.stack([np.asarray(r.reverse_kl_by_block) for r in results]),
    }
