"""The masked-loss curve of a torch model; needs torch and NumPy only, so that it can be pasted beside one.

    rows = measure(lambda tokens: model(tokens).logits, data, mask_id=4, forbidden=[0, 2, 3], device="cuda")
    write(rows, "loss_curve.csv")

and then, where mdmjax is installed, `mdmjax schedule loss-curve loss_curve.csv --steps 16`. `data` are
token ids of shape (sequences, length), the model is in eval mode. Masks and losses are those of mdmjax's
`measure` for the same seed: each sequence at every level, by prefixes of one random order of its region.
"""

import math

import numpy as np


def measure(
    logits_fn, data, mask_id, *, forbidden=(), regions=None, shift=0, seed=0, batch=64, device="cpu"
):
    """Rows of (sequence, n_masked, loss in nats a masked token), one a call.

    `logits_fn` takes int64 tokens [batch, length] on `device` to logits [batch, length, vocabulary]. Those
    of the mask and of `forbidden` ids (padding, special symbols) are left out. `regions`, booleans of the
    shape of `data`, may be masked; without them all but forbidden ids. `shift` is 1 where position i is
    predicted by output i - 1, as in Dream. Of regions of unequal lengths the same share is masked;
    `n_masked` is that share of the median one.
    """
    import torch

    data = np.asarray(data)
    hidden = np.unique([mask_id, *forbidden])
    regions = ~np.isin(data, hidden) if regions is None else np.asarray(regions)
    size, n = len(data), int(np.sort(regions.sum(axis=1))[len(data) // 2])
    revealed = np.floor((n - 1) * (np.arange(32) / 31) ** 2 + 0.5) if n > 64 else np.arange(n)
    levels = np.unique(n - revealed.astype(int))
    count, lcm = len(levels), math.lcm(size, len(levels))
    place = np.random.default_rng([seed, 0]).permutation(size)
    rounds = [levels[(place + r * size + r * size // lcm) % count] for r in range(count)]
    rows = [(sequence, int(m)) for level in rounds for sequence, m in enumerate(level)]
    found = []
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        clean = data[[sequence for sequence, _ in part]].astype(np.int64)
        masked = np.zeros(clean.shape, bool)
        for row, (sequence, m) in enumerate(part):
            order = np.flatnonzero(regions[sequence])
            order = np.random.default_rng([seed, 1, sequence]).permutation(order)
            masked[row, order[: max(1, math.floor(len(order) * m / n + 0.5))]] = True
        with torch.inference_mode():
            logits = logits_fn(torch.tensor(np.where(masked, mask_id, clean), device=device))
            for row, (sequence, m) in enumerate(part):
                at = np.flatnonzero(masked[row])
                chosen = logits[row, np.maximum(at - shift, 0)].float()
                chosen[:, hidden] = -torch.inf
                targets = torch.tensor(clean[row, at], device=chosen.device)
                losses = chosen.logsumexp(1) - chosen.gather(1, targets[:, None])[:, 0]
                found.append((sequence, m, losses.double().mean()))
    return [(sequence, m, float(loss)) for sequence, m, loss in found]


def write(rows, path):
    """Write the rows as CSV."""
    with open(path, "w") as file:
        file.write("sequence,n_masked,loss\n")
        file.writelines(f"{sequence},{m},{loss!r}\n" for sequence, m, loss in rows)
