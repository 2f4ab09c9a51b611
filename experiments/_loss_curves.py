"""Loss curves that noise is put on: closed forms, mixtures of them, and two real models'."""

import numpy as np
from scipy.optimize import isotonic_regression

from mdmjax import (
    markov_curve,
    noisy_bit_curve,
    pairs_curve,
    parity_curve,
    permutation_curve,
    symmetric_chain,
)
from mdmjax.information.closed_form import mds_curve

from . import _run

ANTIBODY = {
    1: 0.4482, 2: 0.5581, 4: 0.6848, 6: 0.5770, 8: 0.5051, 12: 0.5121, 16: 0.5255, 24: 0.5555,
    32: 0.5937, 40: 0.5714, 52: 0.6061, 64: 0.6237, 76: 0.7993, 88: 1.3668, 96: 2.6668, 104: 4.1108,
}  # fmt: skip
"""Nats a masked token by n_masked, of a pretrained model of antibodies (AntiBERTy) on 24 sequences."""


def main_curves(n: int) -> dict[str, np.ndarray]:
    """The three of which coverage is measured."""
    return {
        "permutation": np.asarray(permutation_curve(n).loss),
        "noisy bit": np.asarray(noisy_bit_curve(n, 0.1).loss),
        "Markov chain": np.asarray(markov_curve(symmetric_chain(n, 2, 0.1).transition, n).loss),
    }


def loss_curves(n: int) -> dict[str, np.ndarray]:
    """`c(0), c(1), ...` in nats, none of which rises; closed forms have `n` positions."""
    bit = np.asarray(noisy_bit_curve(n, 0.1).loss)
    chain = markov_curve(symmetric_chain(n, 8, 0.02).transition, n)
    text = _run.load(_run.RESULTS, "text_model")[0]["loss_nats"]
    masked = np.array(list(ANTIBODY))
    antibody = isotonic_regression(np.array(list(ANTIBODY.values()))).x
    return main_curves(n) | {
        "noisy bit, flip 0.3": np.asarray(noisy_bit_curve(n, 0.3).loss),
        "Markov chain, 8 symbols": np.asarray(chain.loss),
        "pairs of 20 symbols": np.asarray(pairs_curve(n, 20).loss),
        "Reed-Solomon": np.asarray(mds_curve(n, n // 2, n).loss),
        "parity and noisy bit": (np.asarray(parity_curve(n, 2).loss) + bit) / 2,
        "permutation and noisy bit": (np.asarray(permutation_curve(n).loss) + bit) / 2,
        "power law": 1 + 3 / np.sqrt(1 + np.arange(n)),
        "text model": isotonic_regression(text, increasing=False).x,
        "antibody model": np.interp(104 - np.arange(104), masked, antibody),
    }
