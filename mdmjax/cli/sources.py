"""The SOURCEs of each command."""

from .file_sources import Joint, LossCurveFile, Text
from .made_sources import (
    BlockHMM,
    Markov,
    NoisyBit,
    Pairs,
    Parity,
    Permutation,
    ReedSolomon,
    Repetition,
)
from .model_source import ModelCurve
from .setting import one_of

MADE = (BlockHMM, Markov, Repetition, Parity, ReedSolomon, Permutation, Pairs, NoisyBit, Joint)
"""What every command takes: distributions with a name, and tables."""

DistributionSource = one_of(*MADE, Text)
"""What a law is of."""

Source = one_of(*MADE, Text, LossCurveFile, ModelCurve)
"""What a schedule is for."""
