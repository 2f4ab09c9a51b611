"""Training and decoding a transformer, against the same one in PyTorch with the same weights."""

import dataclasses
import os
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mdmjax import RandomSubset, Reveal, Schedule, Transformer, TransformerConfig, decode
from mdmjax.denoisers.transformer import SIZES
from mdmjax.files.safetensor_files import to_llama

from ._timing import Row, seconds

GOAL = 1.0
"""Tokens a second, ours over PyTorch's: at least."""

PEAKS = {
    "H200": (989e12, 4.8e12),
    "H100 80GB HBM3": (989e12, 3.35e12),
    "A100-SXM4-80GB": (312e12, 2.04e12),
    "A100-SXM4-40GB": (312e12, 1.56e12),
}
"""Of cards, by a part of their name: dense bfloat16 operations a second, and bytes a second of memory."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A shape and what is done with it: `chunk` training steps a call, a decoding of `steps` steps."""

    name: str
    config: TransformerConfig
    batch: int
    chunk: int
    steps: int


def cases(on_cpu: bool) -> list[Case]:
    if on_cpu:
        tiny, little = (TransformerConfig(n=128, q=100, **SIZES[x]) for x in ("tiny", "little"))
        return [Case("tiny", tiny, 32, 10, 32), Case("little", little, 32, 4, 16)]
    small = TransformerConfig(n=512, q=100, **SIZES["small"], compute="bfloat16")
    base = TransformerConfig(n=1024, q=100, **SIZES["base"], compute="bfloat16")
    return [Case("small", small, 64, 10, 64), Case("base", base, 32, 10, 64)]


def batch_of(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens, masks and the weights of the losses, random and the same for both sides."""
    c, rng = case.config, np.random.default_rng(0)
    tokens = rng.integers(0, c.q, (case.batch, c.n))
    masked = rng.integers(1, c.n + 1, (case.batch, 1))
    masks = rng.random((case.batch, c.n)).argsort(1) < masked
    return tokens, masks, (masks / masked / case.batch).astype(np.float32)


def our_trainer(network: Transformer, case: Case) -> Callable[[], jax.Array]:
    """A function that takes `chunk` steps in one call, on the device; its state is kept between calls."""
    tokens, masks, weights = map(jnp.asarray, batch_of(case))
    tokens = tokens.astype(jnp.int32)
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3, weight_decay=0.01))

    def loss(network):
        logits = network.logits(jnp.where(masks, case.config.q, tokens))
        return jnp.sum(optax.softmax_cross_entropy_with_integer_labels(logits, tokens) * weights)

    def step(carry, _):
        network, state = carry
        value, gradient = jax.value_and_grad(loss)(network)
        updates, state = optimiser.update(gradient, state, network)
        return (optax.apply_updates(network, updates), state), value

    @jax.jit
    def start(network):
        return jax.tree.map(jnp.copy, network), optimiser.init(network)

    chunk = jax.jit(
        lambda *carry: jax.lax.scan(step, carry, None, length=case.chunk), donate_argnums=(0, 1)
    )
    carry = start(network)

    def work():
        nonlocal carry
        carry, losses = chunk(*carry)
        return losses

    return work


def our_decoder(network: Transformer, case: Case) -> Callable[[], jax.Array]:
    decoder = Reveal(RandomSubset(Schedule([case.config.n // case.steps] * case.steps)))
    keys = jax.random.split(jax.random.key(0), case.batch)

    @jax.jit
    def draw(network, keys):
        return jax.vmap(lambda key: decode(key, network, decoder).tokens)(keys)

    return lambda: draw(network, keys)


def operations(c: TransformerConfig, passes: int) -> float:
    """Operations a token of `passes` passes, 2 a parameter and pass, those of attention included."""
    return passes * (2 * (c.parameters - (c.q + 1) * c.width) + 4 * c.depth * c.n * c.width)


def bytes_of_step(c: TransformerConfig, batch: int) -> float:
    """Bytes that a forward pass moves at least: each weight once, and what each part reads and writes."""
    size = jnp.dtype(c.compute).itemsize
    activations = c.depth * (10 * c.width + 4 * c.hidden) + 2 * c.q
    return size * (c.parameters + batch * c.n * activations)


def peaks_of(kind: str) -> tuple[float, float] | None:
    """Operations and bytes a second of a card, if it is known."""
    return next((peaks for name, peaks in PEAKS.items() if name in kind), None)


def training_note(case: Case, spent: float, device: jax.Device) -> str:
    """What the device made of it: operations a second, and on an accelerator the share of its peak."""
    rate = operations(case.config, 3) * case.batch * case.config.n / spent
    peaks, used = peaks_of(device.device_kind), (device.memory_stats() or {}).get("peak_bytes_in_use")
    note = f"{rate / 1e9:.4g} G operations/s"
    if device.platform != "cpu":
        note += (
            f", {rate / peaks[0]:.0%} of the peak" if peaks else f", peak of {device.device_kind} unknown"
        )
    return note + (f", at most {used / 2**30:.3g} GiB" if used else "")


def decoding_note(case: Case, spent: float, device: jax.Device) -> str:
    """The time of a step beside what bounds it, where the card is known."""
    note, peaks = f"{spent / case.steps * 1e3:.3g} ms a step", peaks_of(device.device_kind)
    if peaks:
        compute = operations(case.config, 1) * case.batch * case.config.n / peaks[0]
        memory = bytes_of_step(case.config, case.batch) / peaks[1]
        name = "operations" if compute > memory else "memory"
        note += f", bound by {name}: {max(compute, memory) * 1e3:.3g} ms"
    return note


def compared(case: Case) -> list[Row]:
    import torch

    from . import _torch_network as peer

    device = jax.devices()[0]
    place = "cpu" if device.platform == "cpu" else "cuda"
    if place == "cuda" and not torch.cuda.is_available():
        raise SystemExit("bench: error: PyTorch sees no GPU: want one built for the card that JAX uses")
    if place == "cpu":
        torch.set_num_threads(os.cpu_count() or 1)

    def waited(work: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            work()
            if place == "cuda":
                torch.cuda.synchronize()

        return run

    c, half = case.config, case.config.compute == "bfloat16"
    network = Transformer.create(jax.random.key(0), c)
    theirs = peer.Network(c, to_llama(network)).to(place)
    tokens, masks, weights = batch_of(case)
    hidden = np.where(masks, c.q, tokens)
    with torch.inference_mode(), torch.autocast(place, torch.bfloat16, enabled=half):
        by_peer = theirs(torch.tensor(hidden, device=place)).float().cpu().numpy()
    difference = (
        np.abs(np.asarray(network.logits(jnp.asarray(hidden))) - by_peer).max() / np.abs(by_peer).max()
    )
    if not difference < (0.1 if half else 1e-4):
        raise SystemExit(f"bench: error: the logits of the two networks differ by {difference:.1e}")

    what = f"{case.name}, {c.parameters:.3g} parameters, {case.batch} x {c.n} tokens"
    total = case.batch * c.n
    ours_decode, compile_decode = seconds(our_decoder(network, case), runs=5)
    counts = [c.n // case.steps] * case.steps
    decoding = waited(lambda: peer.decode(theirs, case.batch, c.n, counts, half))
    theirs_decode, _ = seconds(decoding, runs=5)
    ours, compile_train = seconds(our_trainer(network, case), runs=5)
    step = peer.trainer(theirs, tokens, masks, weights, half)
    theirs_train, _ = seconds(waited(lambda: [step() for _ in range(case.chunk)]), runs=5)
    ours, theirs_train = ours / case.chunk, theirs_train / case.chunk
    name = f"torch {torch.__version__}"
    rates = f"{total / ours:.4g} tokens/s against {total / theirs_train:.4g}; "
    agree = f"; logits differ by {difference:.0e}"
    note = rates + training_note(case, ours, device) + agree
    rows = [Row(f"train {what}", ours, compile_train, name, theirs_train, GOAL, note)]
    rates = f"{total / ours_decode:.4g} tokens/s against {total / theirs_decode:.4g}; "
    note = rates + decoding_note(case, ours_decode, device)
    what = f"decode {case.name} in {case.steps} steps"
    return [*rows, Row(what, ours_decode, compile_decode, name, theirs_decode, GOAL, note)]


def run() -> list[Row]:
    return [row for case in cases(jax.default_backend() == "cpu") for row in compared(case)]
