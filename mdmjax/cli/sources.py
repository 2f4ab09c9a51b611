"""The SOURCEs of each command."""

from typing import Annotated

import tyro

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

DistributionSource = (
    Annotated[BlockHMM, tyro.conf.subcommand(BlockHMM.name)]
    | Annotated[Markov, tyro.conf.subcommand(Markov.name)]
    | Annotated[Repetition, tyro.conf.subcommand(Repetition.name)]
    | Annotated[Parity, tyro.conf.subcommand(Parity.name)]
    | Annotated[ReedSolomon, tyro.conf.subcommand(ReedSolomon.name)]
    | Annotated[Permutation, tyro.conf.subcommand(Permutation.name)]
    | Annotated[Pairs, tyro.conf.subcommand(Pairs.name)]
    | Annotated[NoisyBit, tyro.conf.subcommand(NoisyBit.name)]
    | Annotated[Joint, tyro.conf.subcommand(Joint.name)]
    | Annotated[Text, tyro.conf.subcommand(Text.name)]
)
"""What a law is of."""

Source = (
    DistributionSource
    | Annotated[LossCurveFile, tyro.conf.subcommand(LossCurveFile.name)]
    | Annotated[ModelCurve, tyro.conf.subcommand(ModelCurve.name)]
)
"""What a schedule is for."""
