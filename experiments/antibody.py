r"""A pretrained model, measured and scheduled: AntiBERTy, 26 million parameters, on 24 antibody chains.

The package antiberty (0.1.3: later wheels have no weights) is the extra `antibody`; its weights are read
by `torch.load(weights_only=True)`, in transformers. Of twelve antibodies, two chains of 104 residues each,
every other one is measured: its masked losses at every number of masked tokens, one random order a chain.
Schedules of `k` steps are chosen on them, and gains over equal steps predicted: the honest one for the
best, the plain one for cosine. On the other antibodies the NLL of the same schedules is measured along the
paths of a sampler, as a mean over orders (what a curve predicts) and as the bound of `orders` orders; and
the likelihood of decoders that are used in place of random orders. All errors are over antibodies.
"""

import dataclasses
import importlib.util
import json
import shutil
import tempfile
from pathlib import Path

import jax
import numpy as np

from mdmjax import (
    Schedule,
    dllm_cosine,
    honest_gains,
    llada_uniform,
    loss_means,
    optimal_schedule,
    prefix_losses,
    spline_fit,
)
from mdmjax._errors import refuse
from mdmjax.information.estimate import Estimate, estimate
from mdmjax.information.loss_means import LossMeans
from mdmjax.losses.measure import measure
from mdmjax.losses.sampled import MaskedLosses
from mdmjax.studies.hugging_face import open_hugging_face
from mdmjax.studies.judged import externals

from ._decoders import decoded
from ._run import Progress

NEEDS = "antiberty"
CHAINS = Path(__file__).parent / "data" / "antibodies.fasta"


@dataclasses.dataclass(frozen=True)
class Config:
    steps: tuple[int, ...] = (4, 8, 16, 32)
    """Numbers of steps `k` at which schedules are compared."""
    orders: int = 8
    """Random orders a chain of the measured paths."""
    thresholds: tuple[float, ...] = (0.5, 0.7, 0.9, 0.95)
    bounds: tuple[float, ...] = (0.3, 1.0, 3.0, 10.0)
    """Of the entropy, in nats."""
    chains: int = 24
    batch: int = 12
    seed: int = 0


SMOKE = Config(steps=(4,), orders=2, thresholds=(0.5,), bounds=(10.0,), chains=8, batch=4)

SCHEDULES = ("best", "uniform", "cosine")


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Gains over equal steps, `[k, schedule]`, predicted and measured; NLL and calls of decoders."""
    with tempfile.TemporaryDirectory() as folder:
        model = open_hugging_face(antiberty_folder(Path(folder)))
        measurable = model.measurable(CHAINS, most=config.chains)
    denoiser, sequences = externals(measurable)
    n, antibody = denoiser.n, np.arange(config.chains) // 2
    to_measure = antibody % 2 == 0
    options = {**measurable.options, "regions": measurable.options["regions"][to_measure]}
    found = measure(
        config.seed,
        measurable.logits_fn,
        measurable.data[to_measure],
        mask_id=measurable.mask_id,
        levels=np.arange(1, n + 1),
        batch=config.batch,
        track=progress,
        **options,
    ).losses
    rows = clustered(found, antibody[to_measure][found.sequence])
    means = loss_means(rows.rows())
    fit = spline_fit(means.curve())
    schedules = [(optimal_schedule(fit, k), llada_uniform(n, k), dllm_cosine(n, k)) for k in config.steps]
    key = jax.random.key(config.seed)
    predicted = [
        predicted_gains(key, rows, means, k, *row) for k, row in zip(config.steps, schedules, strict=True)
    ]
    held_out, judged = sequences[~to_measure], antibody[~to_measure]
    every = [schedule for row in schedules for schedule in row]
    starts = np.unique(np.concatenate([schedule.starts for schedule in every]))
    parts = []
    for chain in progress(list(range(len(judged))), "paths"):
        own, one = jax.random.fold_in(key, chain), held_out[chain : chain + 1]
        how = {"starts": starts, "orders": config.orders, "batch": config.batch}
        parts.append(prefix_losses(own, denoiser, one, **how))
    over = lambda kind, schedule: np.concatenate([getattr(part, kind)(schedule) for part in parts])
    paths = np.array([[over("path_nll", s).mean(axis=1) for s in row] for row in schedules])
    bounds = np.array([[over("importance_nll", s) for s in row] for row in schedules])
    curve = means.curve()
    return {
        "antibodies": np.array(len(set(antibody.tolist()))),
        "loss_nats": np.asarray(curve.loss),
        "loss_stderr_nats": np.asarray(curve.stderr),
        "fit_nats": np.asarray(fit.loss),
        "schedule_steps": np.array(config.steps),
        "schedule": np.array(SCHEDULES),
        "counts": np.array([[np.pad(s.counts, (0, n - s.steps)) for s in row] for row in schedules]),
        "orders": np.array(config.orders),
        "predicted_gain_nats": np.array(predicted)[..., 0],
        "predicted_gain_stderr_nats": np.array(predicted)[..., 1],
        **gains("path", paths, judged),
        **gains("bound", bounds, judged),
        **decoded(
            key,
            denoiser,
            held_out,
            config.steps,
            config.thresholds,
            config.bounds,
            progress,
            mean=lambda values: by_antibody(values, judged),
            batch=config.batch,
        ),
    }


def antiberty_folder(folder: Path) -> Path:
    """The weights and the vocabulary of the installed package as a folder of Hugging Face."""
    package = importlib.util.find_spec(NEEDS)
    if package is None or not package.submodule_search_locations:
        refuse(NEEDS, "not installed", "the package with its weights", "pip install 'mdmjax[antibody]'")
    trained = Path(package.submodule_search_locations[0]) / "trained_models"
    shutil.copytree(trained / "AntiBERTy_md_smooth", folder, dirs_exist_ok=True)
    shutil.copy(trained / "vocab.txt", folder)
    cased = {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(cased))
    return folder


def clustered(losses: MaskedLosses, cluster: np.ndarray) -> MaskedLosses:
    """The losses with other clusters, numbered from 0: what is independent are antibodies, not chains."""
    return MaskedLosses(losses.n, np.unique(cluster, return_inverse=True)[1], losses.n_masked, losses.loss)


def predicted_gains(
    key: jax.Array,
    rows: MaskedLosses,
    means: LossMeans,
    k: int,
    best: Schedule,
    uniform: Schedule,
    cosine: Schedule,
) -> list[Estimate]:
    """Over equal steps: the honest gain of the rule that chose, nothing, and that of cosine."""
    honest = honest_gains(key, means, k, {"uniform": uniform})["uniform"]
    return [Estimate(honest.gain, honest.stderr), Estimate(0.0, 0.0), rows.nll(uniform, less=cosine)]


def gains(kind: str, nlls: np.ndarray, antibody: np.ndarray) -> dict[str, np.ndarray]:
    """NLL in nats a chain of `[k, schedule, chain]`, and gains over equal steps, paired by antibody."""
    uniform = SCHEDULES.index("uniform")
    gain = np.array([[by_antibody(row[uniform] - one, antibody) for one in row] for row in nlls])
    nll = np.array([[by_antibody(one, antibody) for one in row] for row in nlls])
    return {
        f"{kind}_nll_nats": nll[..., 0],
        f"{kind}_nll_stderr_nats": nll[..., 1],
        f"{kind}_gain_nats": gain[..., 0],
        f"{kind}_gain_stderr_nats": gain[..., 1],
    }


def by_antibody(values: np.ndarray, antibody: np.ndarray) -> Estimate:
    """The mean over chains; the chains of one antibody are not independent."""
    return estimate(np.array([values[antibody == one].mean() for one in np.unique(antibody)]))
