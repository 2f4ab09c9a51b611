"""Masks are of the shapes that the loss sums over."""

import jax
import jax.numpy as jnp
import pytest

from mdmjax import Transformer, TransformerConfig
from mdmjax.training.loss import Masks, masked_loss, stratified_masks


def test_masks_of_another_shape_are_not_broadcast(without_type_checks):
    config = TransformerConfig(n=4, q=2, width=8, depth=1, heads=1, hidden=8)
    network = Transformer.create(jax.random.key(0), config)
    masked, weights = stratified_masks(jax.random.key(1), 3, 4)
    tokens = jnp.zeros((3, 4), int)
    for masks in ((masked[:1], weights), (masked, weights[:1]), (masked.astype(int), weights)):
        with pytest.raises(AssertionError):
            masked_loss(network, tokens, Masks(*masks))
