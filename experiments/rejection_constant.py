"""Proposals that exact rejection sampling of a Block-HMM's blocks needs, against their lower bound.

A sampler that draws a block from the product of its marginals $p_\\Pi$ and accepts it with probability
$p / (M p_\\Pi)$ takes $M = \\sup p / p_\\Pi$ proposals in the mean, and no other such sampler takes fewer.
Proposition 5.1 of arXiv 2602.00286 bounds it from below by $\\exp(\\mathrm{CTC}^\\to)$. Both are exact
here, in every context: a block changes the belief in its hidden state by its count of ones only.
"""

import dataclasses
from math import comb

import numpy as np

from mdmjax import BlockHMM

from ._run import Progress

QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)


@dataclasses.dataclass(frozen=True)
class Config:
    blocks: int = 8
    block_size: int = 8
    etas: tuple[float, ...] = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 0.5)
    """Parity noise, positive; the first five are the paper's."""
    digits: int = 12
    """Beliefs that are equal to so many decimals are one context."""


SMOKE = Config(blocks=2, block_size=4, etas=(1e-8, 0.5))


def count_law(model: BlockHMM) -> tuple[np.ndarray, np.ndarray]:
    """Of content bits: a word's probability by hidden state and count of ones, and words of each count."""
    bias, bits = np.asarray(model.emission)[:, None], model.block_size - 1
    ones = np.arange(bits + 1)
    return bias**ones * (1 - bias) ** (bits - ones), np.array([comb(bits, k) for k in ones])


def constant_and_ctc(model: BlockHMM, beliefs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """M and forward CTC in nats of the next block, for each belief: `(contexts, states)`."""
    given_state, ways = count_law(model)
    ones, noise = np.arange(ways.size), float(model.eta)
    # Last axis: the first bit is the parity of the others, or it is not.
    word = (beliefs @ given_state)[:, :, None] * np.array([1 - noise, noise])
    total = word * ways[:, None]
    is_odd = (ones % 2 == 1)[:, None]
    check_one = np.where(is_odd, total[:, :, 0].T, total[:, :, 1].T).sum(0)[:, None]
    kept = np.where(is_odd.T, check_one, 1 - check_one)
    one = (beliefs @ np.asarray(model.emission))[:, None]
    content = one**ones * (1 - one) ** (ways.size - 1 - ones)
    ratio = word / (content[:, :, None] * np.stack([kept, 1 - kept], axis=-1))
    return ratio.max(axis=(1, 2)), (total * np.log(ratio)).sum(axis=(1, 2))


def contexts_by_block(model: BlockHMM, digits: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The beliefs before each block and their probabilities, under the model."""
    given_state, ways = count_law(model)
    beliefs, mass = np.asarray(model.initial)[None, :], np.ones(1)
    contexts = [(beliefs, mass)]
    for _ in range(model.blocks - 1):
        joint = beliefs[:, None, :] * given_state.T[None, :, :]
        word = joint.sum(axis=2)
        children = (joint / word[:, :, None]) @ np.asarray(model.transition)
        rounded = children.reshape(-1, beliefs.shape[1]).round(digits)
        beliefs, index = np.unique(rounded, axis=0, return_inverse=True)
        mass = np.bincount(index.reshape(-1), weights=(mass[:, None] * word * ways).reshape(-1))
        contexts.append((beliefs, mass))
    return contexts


def quantiles(values: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """The least value that has at least each of `QUANTILES` of the mass at or below it."""
    order = np.argsort(values)
    below = np.cumsum(mass[order])
    return values[order][np.minimum(np.searchsorted(below, QUANTILES), values.size - 1)]


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Means over contexts from the model, `(eta, block)`; by belief and quantiles at the first `eta`."""
    models = [BlockHMM(config.blocks, config.block_size, eta=eta) for eta in config.etas]
    # What the counts of ones say of the hidden states does not depend on the parity noise.
    contexts = contexts_by_block(models[0], config.digits)
    means = np.empty((3, len(models), config.blocks))
    for row, model in enumerate(progress(models, "parity noise")):
        for block, (beliefs, mass) in enumerate(contexts):
            constant, ctc = constant_and_ctc(model, beliefs)
            means[:, row, block] = mass @ constant, mass @ np.exp(ctc), mass @ ctc
    spread = [quantiles(constant_and_ctc(models[0], beliefs)[0], mass) for beliefs, mass in contexts]
    lowest, highest = contexts[-1][0][:, 0].min(), contexts[-1][0][:, 0].max()
    grid = np.linspace(lowest, highest, 161)
    constant, ctc = constant_and_ctc(models[0], np.stack([grid, 1 - grid], axis=1))
    return {
        "eta": np.array(config.etas),
        "words": np.array(2**config.block_size),
        "contexts": np.array([mass.size for _, mass in contexts]),
        "mean_constant": means[0],
        "mean_exp_ctc": means[1],
        "mean_ctc_nats": means[2],
        "quantile": np.array(QUANTILES),
        "constant_quantiles": np.array(spread),
        "belief": grid,
        "constant_by_belief": constant,
        "exp_ctc_by_belief": np.exp(ctc),
    }
