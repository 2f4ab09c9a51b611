"""Which columns of a table are which: the mask counts or ratios, their losses, and what else there is."""

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from .._errors import refuse, shown
from .cells import Columns, number

AXES = {
    "n_masked": ("n_masked", "num_masked", "n_mask", "num_mask", "mask_count", "masked_count"),
    "mask_ratio": (
        *("mask_ratio", "masking_ratio", "masked_ratio", "mask_rate", "masking_rate", "mask_fraction"),
        *("masked_fraction", "mask_prob", "masking_prob", "mask_probability", "p_mask", "move_chance", "t"),
    ),
    "n_revealed": ("n_revealed", "num_revealed", "n_unmasked", "num_unmasked"),
    "revealed_ratio": ("revealed_ratio", "revealed_fraction", "unmasked_ratio", "keep_ratio"),
}
"""What says how much is masked, by its names; of several the first is taken."""

OPPOSITE = {
    "n_masked": "n_revealed",
    "mask_ratio": "revealed_ratio",
    "n_revealed": "n_masked",
    "revealed_ratio": "mask_ratio",
}
"""What an axis is that was taken for the other."""

LOSS = (
    "loss",
    "nll",
    "ce",
    "cross_entropy",
    "nll_loss",
    "ce_loss",
    "mlm_loss",
    "masked_loss",
    "mean_loss",
    "loss_mean",
)

MORE = {
    "count": ("count", "counts", "n_samples", "num_samples"),
    "stderr": ("stderr", "std_err", "standard_error", "se", "sem", "loss_stderr", "loss_se", "loss_sem"),
    "sequence": ("sequence", "sequence_id", "seq_id", "sample_id", "example_id"),
    "block": ("block", "block_index", "block_idx", "block_id", "block_number"),
    "step": ("step", "global_step", "training_step", "iteration", "iter", "epoch"),
}
"""What a table may have besides, by its names."""

ROLES = (*AXES, "loss", *MORE)

UNSURE = ("timestep", "timesteps", "time", "noise", "noise_level", "sigma", "alpha", "alpha_t", "ratio")
"""Names that may be the share that is masked, or another: never taken without being told."""

_LOSS = r"(?<![a-z])(?:loss|nll|cross_entropy|ce)"
_LABEL = r"(?:t|r|p|ratio|mask|masked|masking|mask_ratio|masking_ratio|masked_ratio|mask_rate)"
_RATIO = r"[01]?[.,]\d+|(?<!\.)[01]|(?<![.\d])\d{1,3}(?:\.\d+)?%"
WIDE = (
    re.compile(rf"(.*{_LOSS})([\s_/@=:.-]*{_LABEL}?[\s_/@=:-]*)({_RATIO})()()"),
    re.compile(rf"((?:.*[\s_/@=:-])?)({_LABEL}?[\s_/@=:-]*)({_RATIO})((?:[\s_/-].*)?{_LOSS})()"),
    re.compile(rf"(.*{_LOSS})([\s_/@=:.-]*)()()n(?:um)?_masked[\s_/@=:-]*(\d+)"),
)
"""Names of columns that hold the loss at one ratio, or (the last) at one count: val/loss_0.25, loss@0.5."""

LONGEST = 200
"""Characters of a name that may be one of `WIDE`, which take the square of as many steps."""

NO_LOSS = re.compile(r"(?<![a-z])(?:std|std_?err|se|sem|var|count|min|max)(?![a-z])")
"""In names of columns that are not losses, though they begin as those do."""


@dataclass(frozen=True)
class Layout:
    """`axis` of `AXES`, and the column of each role; in a wide table `wide` has columns by role and value.

    >>> find_columns(Path("t.csv"), {"step": [1], "t": [0.5], "val/loss": [2.0], "lr": [1e-3]}, None).names
    {'mask_ratio': 't', 'loss': 'val/loss', 'step': 'step'}
    """

    axis: str
    names: dict[str, str]
    wide: dict[str, dict[float, str]] | None = None


def find_columns(path: Path, columns: Columns, given: str | None) -> Layout:
    """The layout of a table: by `given`, as n_masked=NAME,loss=NAME, and for the rest by known names.

    Names are compared in lower case without the run's name that wandb puts before them ("run - "), paths
    (`val/`) and the names of a split (`eval_`); its `__MIN` and `__MAX` columns are left out. A
    pattern with one `*` for the loss, as `val/loss_*`, means columns for each ratio, or count, and
    `revealed_ratio=*` says what its numbers are. What is not clear is refused, with what to type.
    """
    columns = {name: cells for name, cells in columns.items() if not name.endswith(("__MIN", "__MAX"))}
    told = _told(path, columns, given)
    roles = _named(columns)
    if list(columns) == ["1", "2"] and not told:  # without names
        values = [value for cell in columns["1"] if (value := _value(cell)) is not None]
        return Layout(_axis_of(values), {_axis_of(values): "1", "loss": "2"})
    axis = next((role for role in AXES if role in told), None)
    if "*" not in told.get("loss", "") + told.get(axis or "", ""):
        axis = axis or next((role for role in AXES if role in roles), None)
        names = {axis: told.get(axis) or _only(path, columns, axis, roles[axis])} if axis else {}
        loss = told.get("loss") or (_loss_beside(path, columns, names[axis], roles) if axis else None)
        if axis and loss:
            names |= {"loss": loss} | _more(path, columns, told, roles)
            return Layout(axis, names)
    wide = _wide(path, columns, told)
    if wide is None:
        _refuse_columns(path, columns, roles, axis)
    return Layout(wide.axis, wide.names | _more(path, columns, told, roles), wide.wide)


def plain(name: str) -> str:
    """A name without the run before it, its path and its split, in lower case with underscores."""
    name = re.sub(r"\(nats\)$", "", name.lower()).rpartition(" - ")[2].rpartition("/")[2]
    name = re.sub(r"[\s.-]+", "_", name.strip()).strip("_")
    return re.sub(r"^(?:(?:train|training|val|valid|validation|eval|test|dev)_)+", "", name)


def typed(**names: str) -> str:
    """The option as it is typed, quoted for a shell."""
    return f"--columns {shlex.quote(','.join(f'{role}={name}' for role, name in names.items()))}"


def _told(path: Path, columns: Columns, given: str | None) -> dict[str, str]:
    """Columns by role, as they were given."""
    if given is None:
        return {}
    start, *parts = re.split(rf"(?:^|,)\s*({'|'.join(ROLES)})\s*=", given)
    told = {role: name.strip() for role, name in zip(parts[::2], parts[1::2], strict=True)}
    if start.strip() or not parts or len(told) < len(parts) // 2 or len(told.keys() & AXES.keys()) > 1:
        remedy = f"a name for each of {', '.join(ROLES)} that is needed, and one of the first four"
        refuse("columns", given, "such as n_masked=NAME,loss=NAME", remedy)
    for role, name in told.items():
        star = (role in ("loss", "stderr") and name.count("*") == 1) or (role in AXES and name == "*")
        if name not in columns and not star:
            refuse("columns", f"{role}={name}", f"a column of {path}: {listed(columns)}")
    return told


def listed(names: Iterable[str]) -> str:
    """Names as a message shows them."""
    return shown(", ".join(names), 160) or "none"


def _named(columns: Columns) -> dict[str, list[str]]:
    """The columns whose names are known, by role; one of the role's own name alone, if there is one."""
    known = {name: role for role, names in {**AXES, "loss": LOSS, **MORE}.items() for name in names}
    roles: dict[str, list[str]] = {}
    for name in columns:
        if role := known.get(plain(name)):
            roles.setdefault(role, []).append(name)
    for role, names in roles.items():
        own = [name for name in names if name.lower() == role and role != "loss"]
        roles[role] = own or names
    return roles


def _only(path: Path, columns: Columns, role: str, names: Sequence[str], **beside: str) -> str:
    """The one column of a role; several are refused, with how to say which."""
    if len(names) > 1:
        found = f"{path} with columns {listed(names)} for {role}"
        refuse("file", found, "one of them", typed(**beside, **{role: names[-1]}))
    return names[0]


def _loss_beside(path: Path, columns: Columns, axis: str, roles: dict[str, list[str]]) -> str | None:
    """The loss of the rows that say how much is masked."""
    names, beside = roles.get("loss", []), columns[axis]
    if len(names) > 1:
        masked = [at for at, cell in enumerate(beside) if not _is_empty(cell)]
        filled = [name for name in names if any(not _is_empty(columns[name][at]) for at in masked)]
        names = filled or names
    return _only(path, columns, "loss", names) if names else None


def _more(
    path: Path, columns: Columns, told: dict[str, str], roles: dict[str, list[str]]
) -> dict[str, str]:
    """The columns of `MORE` that there are; of several steps the first."""
    found = {}
    for role in MORE:
        names = roles.get(role, [])[: 1 if role == "step" else None]
        if role in told and "*" not in told[role]:
            found[role] = told[role]
        elif names and role not in told:
            found[role] = _only(path, columns, role, names)
    return found


def _wide(path: Path, columns: Columns, told: dict[str, str]) -> Layout | None:
    """The layout of a table with a column for each ratio, or count, if that is what it is."""
    families: dict[str, dict[float, str]] = {}
    for name in columns:
        pattern, value = _family(name)
        if pattern:
            families.setdefault(pattern, {})[value] = name
    known = {pattern: of for pattern, of in families.items() if len(of) > 1 and _is_axis(list(of))}
    losses = [pattern for pattern in known if not NO_LOSS.search(pattern.lower().rpartition(" - ")[2])]
    if "*" not in told.get("loss", "*"):
        return None
    axis = next((role for role in AXES if role in told), None)
    told = {role: name for role, name in told.items() if role in ("loss", "stderr") and "*" in name}
    if "loss" in told:
        known |= {pattern: _matching(path, columns, pattern) for pattern in told.values()}
        losses = [told["loss"]]
    if not losses:
        return None
    loss = losses[0]
    if len(losses) > 1:
        found = f"{path} with losses by ratio in {listed(losses)}"
        refuse("file", found, "one of them", typed(loss=losses[-1]))
    wide = {"loss": known[loss]}
    if "stderr" in told:
        wide["stderr"] = known[told["stderr"]]
    axis = axis or _axis_of(list(known[loss]))
    return Layout(axis, {axis: "*", "loss": loss}, wide)


def _family(name: str) -> tuple[str, float]:
    """The name with `*` for its ratio or count, and this; an empty name if it has none."""
    lower = name.lower()
    for pattern in WIDE if len(name) <= LONGEST else ():
        if match := pattern.fullmatch(lower):
            at = match.start(5) if match[5] else match.start(3)
            found = match[5] or match[3]
            return f"{name[:at]}*{name[at + len(found) :]}", _ratio(found)
    return "", 0.0


def _ratio(text: str) -> float:
    text = text.replace(",", ".")
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def _is_axis(values: Sequence[float]) -> bool:
    """Whether these are ratios with one between 0 and 1, or counts."""
    if max(values) <= 1:
        return any(0 < value < 1 for value in values)
    return all(value == int(value) for value in values)


def _axis_of(values: Sequence[float]) -> str:
    return "n_masked" if values and max(values) > 1 else "mask_ratio"


def _matching(path: Path, columns: Columns, pattern: str) -> dict[float, str]:
    """The columns of a pattern by the number that stands for its `*`."""
    before, _, after = pattern.partition("*")
    found = {}
    for name in columns:
        if name.startswith(before) and name.endswith(after) and len(name) > len(before) + len(after):
            inner = name[len(before) : len(name) - len(after)].strip()
            if re.fullmatch(r"\d*[.,]?\d+%?", inner):
                found[_ratio(inner)] = name
    if not any(value > 0 for value in found):
        wanted = f"a pattern of columns of {path}, * for a ratio or a count: {listed(columns)}"
        refuse("columns", pattern, wanted)
    return found


def _value(cell: object) -> float | None:
    try:
        return number(cell)
    except ValueError:
        return None


def _is_empty(cell: object) -> bool:
    try:
        return number(cell) is None
    except ValueError:
        return False


def _refuse_columns(
    path: Path, columns: Columns, roles: dict[str, list[str]], axis: str | None
) -> NoReturn:
    """Say what is missing, and what to type."""
    found, loss = f"{path} with columns {listed(columns)}", roles.get("loss")
    if axis:
        remedy = f"{typed(**{axis: roles.get(axis, ['NAME'])[0]}, loss='NAME')} says which it is"
        refuse("file", found, "a column loss, in nats a masked token", remedy)
    wanted = "a column n_masked or mask_ratio beside the loss"
    unsure = [name for name in columns if plain(name) in UNSURE]
    if unsure:
        name = unsure[0]
        yes = typed(mask_ratio=name, loss=(loss or ["NAME"])[0])
        refuse("file", found, wanted, f"if {shown(name)} is the share that is masked: {yes}")
    if loss and not all(name.isdigit() for name in columns):
        why = "one averaged loss a step cannot tell what a schedule costs: log it by ratio, or let "
        why += "`mdmjax loss-curve` measure the model; if a column says how much is masked: "
        refuse("file", found, wanted, why + typed(n_masked="NAME", loss=loss[-1]))
    refuse("file", found, wanted, f"{typed(n_masked='NAME', loss='NAME')} says which they are")
