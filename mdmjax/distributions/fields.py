"""Arithmetic of the finite fields with at most 256 elements, as tables."""

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from .._errors import refuse

MAX_ELEMENTS = 256  # that fit a byte, in tables of 64 KiB


class FiniteField(NamedTuple):
    """Tables of GF(q), elements `0..q-1` with 0 and 1 the neutral ones; `inverse[0]` is 0."""

    add: UInt8[np.ndarray, "q q"]
    multiply: UInt8[np.ndarray, "q q"]
    negative: UInt8[np.ndarray, " q"]
    inverse: UInt8[np.ndarray, " q"]


@functools.cache
def finite_field(q: int) -> FiniteField:
    r"""The field with $q = p^m \le 256$ elements.

    Element $\sum_k d_k p^k$ stands for $\sum_k d_k x^k$ over the integers modulo $p$, modulo the first
    monic irreducible polynomial of degree $m$ (any other gives the same field). Refuses any other `q`.
    """
    wanted = f"a prime power in 2..{MAX_ELEMENTS}"
    if not 2 <= q <= MAX_ELEMENTS:
        refuse("q", q, wanted)
    p, m = prime_power(q) or refuse("q", q, wanted, "no other number of elements makes a field")
    places = p ** np.arange(m)
    digits = np.arange(q)[:, None] // places % p
    add = (digits[:, None] + digits[None, :]) % p @ places
    modulus = _irreducible(p, m)
    product, power = np.zeros((q, q, m), dtype=int), digits  # of b x^k, for every b
    for k in range(m):
        product += digits[:, k, None, None] * power
        carried = np.pad(power, ((0, 0), (1, 0)))
        power = (carried[:, :m] - carried[:, m:] * modulus[:m]) % p
    multiply = product % p @ places
    negative = np.argmax(add == 0, axis=1)
    inverse = np.where(np.arange(q) == 0, 0, np.argmax(multiply == 1, axis=1))
    tables = [table.astype(np.uint8) for table in (add, multiply, negative, inverse)]
    for table in tables:
        table.setflags(write=False)
    return FiniteField(*tables)


def prime_power(q: int) -> tuple[int, int] | None:
    """The prime `p` and the exponent `m` with `p**m == q`, if there are such; by trial division."""
    p = next((d for d in range(2, math.isqrt(q) + 1) if q % d == 0), q)
    m = 1
    while 1 < p**m < q:
        m += 1
    return (p, m) if p > 1 and p**m == q else None


def _irreducible(p: int, m: int) -> np.ndarray:
    """The first monic polynomial of degree `m` that is no product, coefficients from `x^0` up."""

    def monic(degree: int) -> list[tuple[int, ...]]:
        return [(*low[::-1], 1) for low in itertools.product(range(p), repeat=degree)]

    products = set()
    for low in range(1, m // 2 + 1):
        pairs = itertools.product(monic(low), monic(m - low))
        products.update(tuple(np.convolve(f, g) % p) for f, g in pairs)
    return np.array(next(f for f in monic(m) if f not in products))
