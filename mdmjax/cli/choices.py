"""The SOURCEs and DECODERs, read off the registries of the library, and options that commands share."""

import dataclasses
from pathlib import Path

from ..families import FAMILIES, Use
from ..studies.named_decoders import DECODERS
from .options import Choice, Option, Positional

TEXT_PATH = Positional(
    "path",
    "A text file, or a folder whose .py, .txt and .md files are read; without it Python's own library.",
    required=False,
)

MODEL_FOLDER = Positional("folder", "Folder that `mdmjax train` wrote.", "DIR")

JSON = Option("json", bool, False, "Print one JSON object instead of the text.")
CACHE = Option(
    "compilation-cache",
    Path,
    None,
    "Folder of compiled programs: what one run compiles, the next one reads.",
    "DIR",
)
SHOWN = (JSON, CACHE)
"""Options that every command has."""

COUNTS = Option("counts", str, None, "Tokens revealed at each step; they sum to n.", "S1,S2,...")

ANIMATE = Option(
    "animate", Path, None, "Draw the first sequence, position by step, as it was written.", "FILE.gif"
)

TEMPERATURE = Option(
    "temperature",
    float,
    1.0,
    "Tokens are drawn at it, 0: the argmax. Choices go by the model's own rows, except in decoders that "
    "draw before they choose.",
)


def families(use: Use, estimating: tuple[Option, ...] = ()) -> tuple[Choice, ...]:
    """Every family with its parameters, of which one not given has the default of the use; and files.

    Hidden Markov models take the options of `estimating` as well.
    """
    found = []
    for family in FAMILIES.values():
        options = []
        for parameter in family.parameters:
            default = f"{getattr(parameter, use):g}"
            if use == "law" and parameter.paper is not None:
                default += f"; for mean-field and verified {parameter.paper}"
            name = parameter.name.replace("_", "-")
            options.append(Option(name, parameter.kind, None, f"{parameter.help} [{default}]"))
        options += estimating if family.name == "block-hmm" else ()
        found.append(Choice(family.name, family.help, tuple(options)))
    hmm = dataclasses.replace(HMM, options=(*HMM.options, *estimating))
    return (*found, MIXTURE, MULTISET, JOINT, hmm)


def text_choice(window: int) -> Choice:
    """Character classes in windows of a text, of that length where none is given."""
    classes = (
        "Alphabet: sets as inside a regex's brackets, as vowel=aeiou digit=0-9; the rest is 'other'. "
        "Letters, digits and spaces if not given."
    )
    return Choice(
        "text",
        "Character classes in windows of a text; without PATH, Python's standard library source.",
        (
            Option("window", int, window, "Characters in a window: the n of the distribution."),
            Option("classes", str, (), classes, "NAME=SET ...", repeated=True),
        ),
        (TEXT_PATH,),
    )


JOINT = Choice(
    "joint",
    "Table of probabilities from an .npz file: array `probs` of shape (q,)*n.",
    positionals=(Positional("file", "File written by numpy.savez(FILE, probs=table).", "FILE.npz"),),
)

HMM = Choice(
    "hmm",
    "Hidden Markov model from a file: `initial` (K,), `transition` (K, K), `emission` (K, q), and `n`.",
    (
        Option("file", Path, help="Arrays by name.", metavar="FILE.npz|.json", required=True),
        Option("n", int, None, "Number of positions. [n of the file]"),
    ),
)

MIXTURE = Choice(
    "mixture",
    "Independent draws of one hidden part of a mixture, from a file: `weights` (M,), `probs` (M, q), `n`.",
    (
        Option("file", Path, help="Arrays by name.", metavar="FILE.npz|.json", required=True),
        Option("n", int, None, "Number of positions. [n of the file]"),
    ),
)

MULTISET = Choice(
    "multiset",
    "A uniform order of symbols of which each comes as often as is said.",
    (Option("repeats", int, help="Of each symbol.", metavar="R1 R2 ...", repeated=True, required=True),),
)

DECODER_CHOICES = tuple(
    Choice(
        decoder.name,
        decoder.help,
        tuple(
            Option(knob.name.replace("_", "-"), knob.kind, knob.default, knob.help, size=knob.size)
            for knob in decoder.knobs
        ),
    )
    for decoder in DECODERS.values()
)
"""Every decoder with its parameters."""

ALL = Choice("all", "Every decoder with its defaults, in one table; also what --compare asks for.")

NOISE = (
    Option(
        "fit",
        str,
        None,
        "The curve to choose on: the measured losses as they are (rows), the nearest that never rises "
        "(isotonic), or one that is smooth as well (spline). Spline where errors are known, else rows.",
        choices=("rows", "isotonic", "spline"),
    ),
    Option("repetitions", int, 64, "Halves of the data that choose, and are judged on the other half."),
    Option("seed", int, 0, "Seed of the halves, and of what is measured."),
)

MEASURING = (
    Option("sequences", int, None, "Held-out sequences, apart; 64, or as many as make 4096 calls."),
    Option("batch", int, 64, "Sequences that the model sees at once: bounds the memory."),
)

ESTIMATING = (
    Option("sequences", int, None, "Draws that estimate a curve which is too long to be exact. [32]"),
    Option("batch", int, 64, "Of them, as many at once: bounds the memory."),
    Option(
        "losses",
        Path,
        None,
        "Where the estimated curve is written; one that was stopped goes on there.",
        "FILE.csv",
    ),
    *NOISE,
)

TABLE = (
    Option("length", int, None, "Number of positions; without it, the largest n_masked."),
    Option(
        "columns",
        str,
        None,
        "What the columns are, where their names do not tell: n_masked, mask_ratio, n_revealed or "
        "revealed_ratio; loss, count, stderr, sequence, block, step. loss=val/loss_*: a column a ratio.",
        "n_masked=NAME,loss=NAME",
    ),
    Option("unit", str, "nats", "Unit of the losses.", choices=("nats", "bits", "perplexity")),
    Option(
        "per",
        str,
        "token",
        "A loss is a mean over masked tokens, or over all positions, or a sum over a sequence.",
        choices=("token", "position", "sequence"),
    ),
    Option("weighted", bool, False, "Losses are weighted by 1/t, with t the share that is masked."),
    Option("vocabulary", int, None, "Symbols that there are, to check the losses by."),
)

LOSS_CURVE = Choice(
    "loss-curve",
    "Masked-loss table of a trained model: n_masked or mask_ratio, loss, [count, stderr, sequence, block].",
    (
        *TABLE,
        *NOISE,
        Option("total-steps", int, None, "With a column block: steps to split over all blocks."),
    ),
    (Positional("file", "A .csv, .tsv, .txt, .json, .jsonl (also .gz), .npz or .npy file.", "FILE"),),
)

MODEL = Choice(
    "model",
    "Model that `mdmjax train` wrote: its loss curve, measured now on held-out data.",
    (*MEASURING, *NOISE),
    (MODEL_FOLDER,),
)
