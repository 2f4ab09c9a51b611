r"""The law that guidance draws from, beside the one that it is meant to draw from.

Guided rows, one token after another, multiply to $\prod_i c_i^{1+w} u_i^{-w} / Z_i(x_{<i})$, the target is
$c^{1+w} u^{-w} / Z$, $c = p(x \mid y)$ and $u = p(x)$. With $\log Z_i = w\, D_{1+w}(c_i \| u_i)$, a Renyi
divergence of the rows, the two differ by

$$\log \frac{\text{target}(x)}{\text{law}(x)}
  = w \Big( \sum_i D_{1+w}(c_i \| u_i \mid x_{<i}) - D_{1+w}(c \| u) \Big)$$

(derived here): nothing if $n = 1$, if $w = 0$, or if positions are independent with the prompt and without.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._checks import Numbers
from .._errors import refuse
from .._numerics import safe_log
from .._types import Array, Float, Int
from ..decoders.base import AbstractDecoder
from ..denoisers.base import Oracle
from ..denoisers.guidance import Guided, guidance_scale, guided_rows
from ..denoisers.perturbed import Fallback
from ..distributions.joint import Joint
from ..divergences import tables
from .dense import dense_law
from .law import Law


class GuidanceGap(NamedTuple):
    """A law of guided decoding and its target, with KL(target || law) and KL(law || target) in nats."""

    law: Law
    target: Float[Array, "..."]
    kl: Float[Array, ""]
    reverse_kl: Float[Array, ""]


def guided_target(conditional: Joint, unconditional: Joint, scale: Numbers) -> Float[Array, "..."]:
    r"""$p(x \mid y)^{1+w} p(x)^{-w}$, normalised, shape `[q]*n`.

    >>> told, untold = Joint(jnp.array([0.2, 0.8])), Joint(jnp.array([0.5, 0.5]))
    >>> print(guided_target(told, untold, 1.0).round(4))
    [0.0588 0.9412]
    """
    told, untold = (safe_log(joint.probs.reshape(-1)) for joint in (conditional, unconditional))
    return jnp.exp(guided_rows(told, untold, guidance_scale(scale))).reshape(conditional.probs.shape)


def guidance_gap(
    conditional: Joint, unconditional: Joint, scale: Numbers, decoder: AbstractDecoder
) -> GuidanceGap:
    r"""The exact law of `decoder` with guided oracles, beside $p(x \mid y)^{1+w} / p(x)^w$, normalised.

    A pure function of arrays, as `dense_law`: mapped and differentiated in the joints and the scale, for
    the same decoders. Contexts that cannot occur with the prompt have uniform rows (`Fallback`).

    Raises:
        InvalidInputError: as `dense_law` and `Guided`.

    >>> from mdmjax import Reveal, Schedule, left_to_right
    >>> told, untold = prompt_pair(Joint(jnp.array([[[4, 1], [1, 2]], [[1, 3], [2, 2]]]) / 16), [2, 2, 0])
    >>> gap = guidance_gap(told, untold, 2.0, Reveal(left_to_right(Schedule([1, 1]))))
    >>> float(gap.kl.round(4)), float(jnp.sum(gap.target).round(9))
    (0.0, 1.0)
    """
    model = Fallback(Guided(Oracle(conditional), Oracle(unconditional), scale))
    law, target = dense_law(model, decoder), guided_target(conditional, unconditional, scale)
    return GuidanceGap(law, target, tables.kl(target, law), tables.reverse_kl(target, law))


def prompt_pair(joint: Joint, prompt: Int[Array, " n"] | list[int]) -> tuple[Joint, Joint]:
    r"""$p(x \mid y)$ and $p(x)$ of the positions where `prompt` has the mask `q`; its tokens are $y$.

    Raises:
        InvalidInputError: another length, nothing masked, a prompt that the joint never has.

    >>> told, untold = prompt_pair(Joint(jnp.array([[0.4, 0.1], [0.1, 0.4]])), [1, 2])
    >>> told.probs.round(4).tolist(), untold.probs.tolist()
    ([0.2, 0.8], [0.5, 0.5])
    """
    tokens = np.asarray(prompt)
    if tokens.shape != (joint.n,) or not np.any(tokens == joint.q):
        refuse(
            "prompt", tokens.tolist(), f"{joint.n} tokens, the mask {joint.q} where one is to be written"
        )
    given = tuple(slice(None) if token == joint.q else int(token) for token in tokens)
    told, mass = joint.probs[given], jnp.sum(joint.probs[given])
    known = tuple(np.flatnonzero(tokens != joint.q).tolist())
    if not isinstance(mass, Tracer) and mass == 0:
        refuse("prompt", tokens.tolist(), "tokens that the joint may have", "its probability is 0")
    return Joint(told / mass), Joint(jnp.sum(joint.probs, axis=known))
