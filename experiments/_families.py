"""The distributions that the experiments look at, each as its exact information curve."""

from mdmjax import (
    BlockHMM,
    InformationCurve,
    information_curve,
    markov_curve,
    noisy_bit_curve,
    pairs_curve,
    parity_curve,
    permutation_curve,
    symmetric_chain,
    tabulate,
)
from mdmjax.distributions.text import CharacterClasses, text_joint
from mdmjax.files.corpus import read_corpus, standard_library_files
from mdmjax.information.closed_form import mds_curve, repetition_curve

from ._run import Progress


def text_curve(window: int) -> InformationCurve:
    """Character classes in windows of the source of the running interpreter's standard library."""
    classes = CharacterClasses()
    texts = read_corpus(standard_library_files()).texts
    return information_curve(text_joint([classes.classify(text) for text in texts], window, classes.q))


def families(
    n: int, blocks: int, block_size: int, window: int, progress: Progress
) -> dict[str, InformationCurve]:
    """Every family by its title: closed forms at `n`; the Block-HMM and the text enumerated."""
    transition = symmetric_chain(n, 2, 0.1).transition
    builders = {
        "repetition": lambda: repetition_curve(n, 2),
        "parity": lambda: parity_curve(n, 2),
        f"Reed-Solomon, dimension {n // 2}": lambda: mds_curve(n, n // 2, n),
        "uniform permutation": lambda: permutation_curve(n),
        f"{n // 2} equal pairs": lambda: pairs_curve(n, 2),
        "Markov chain, flip 0.1": lambda: markov_curve(transition, n),
        "noisy repeated bit, flip 0.1": lambda: noisy_bit_curve(n, 0.1),
        f"Block-HMM, {blocks} x {block_size} bits": lambda: information_curve(
            tabulate(BlockHMM(blocks, block_size))
        ),
        "source text, character classes": lambda: text_curve(window),
    }
    return {title: builders[title]() for title in progress(list(builders), "curves")}
