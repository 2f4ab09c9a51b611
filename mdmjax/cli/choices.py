"""The SOURCEs and DECODERs of the command line, read off the registries of the library."""

from pathlib import Path

from ..families import FAMILIES, Family, Use
from ..studies.named_decoders import DECODERS
from ..studies.naming import NamedDecoder
from .options import Choice, Option, Positional

TEXT_PATH = Positional(
    "path",
    Path,
    "A text file, or a folder whose .py, .txt and .md files are read; without it Python's own library.",
    required=False,
)


def family_choice(family: Family, use: Use) -> Choice:
    """A family with its parameters; one that is not given has the default of the use."""
    options = []
    for parameter in family.parameters:
        default = f"{getattr(parameter, use):g}"
        if use == "law" and parameter.paper is not None:
            default += f"; for mean-field and verified {parameter.paper}"
        name = parameter.name.replace("_", "-")
        options.append(Option(name, parameter.kind, None, f"{parameter.help} [{default}]"))
    return Choice(family.name, family.help, tuple(options))


def families(use: Use) -> tuple[Choice, ...]:
    """Every family, and tables of probabilities."""
    return (*(family_choice(family, use) for family in FAMILIES.values()), JOINT)


def decoder_choice(decoder: NamedDecoder) -> Choice:
    """A decoder with its parameters."""
    options = tuple(
        Option(knob.name.replace("_", "-"), knob.kind, knob.default, knob.help, size=knob.size)
        for knob in decoder.knobs
    )
    return Choice(decoder.name, decoder.help, options)


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
    positionals=(Positional("file", Path, "File written by numpy.savez(FILE, probs=table).", "FILE.npz"),),
)

DECODER_CHOICES = tuple(decoder_choice(decoder) for decoder in DECODERS.values())
"""Every decoder."""

ALL = Choice("all", "Every decoder with its defaults, in one table; also what --compare asks for.")

BOOTSTRAP = (
    Option("isotonic", bool, False, "Replace the curve by its nearest nonincreasing fit."),
    Option(
        "bootstrap", int, 0, "Replicates for 95% intervals of the gain over uniform and the boundaries."
    ),
    Option("seed", int, 0, "Seed of the bootstrap, and of what is measured."),
)

MEASURING = (
    Option(
        "sequences",
        int,
        None,
        "Held-out sequences, each seen at every number of masked tokens; 64, or 4096 / n if that is more.",
    ),
    Option("batch", int, 64, "Sequences that the model sees at once: bounds the memory."),
)

LOSS_CURVE = Choice(
    "loss-curve",
    "Masked-loss table of a trained model: n_masked or mask_ratio, loss, [count, stderr].",
    (
        Option("length", int, None, "Number of positions; without it, the largest n_masked."),
        *BOOTSTRAP,
    ),
    (Positional("file", Path, "A .csv, .jsonl or .npz file; loss in nats a masked token.", "FILE"),),
)

MODEL = Choice(
    "model",
    "Model that `mdmjax train` wrote: its loss curve, measured now on held-out data.",
    (*MEASURING, *BOOTSTRAP),
    (Positional("folder", Path, "The model's folder.", "DIR"),),
)
