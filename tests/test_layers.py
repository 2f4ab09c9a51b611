"""Imports go one way: a module imports only from the layers before its own."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "mdmjax"
PURE = [
    "_types",
    "_errors",
    "_numerics",
    "_partial",
    "distributions",
    "information",
    "schedules",
    "denoisers",
    "decoders",
    "laws",
    "divergences",
    "training",
]
LAYERS = [*PURE, "files", "cli"]
MODULES = sorted(PACKAGE.rglob("*.py"))


def layer_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_layers(path):
    """The layers that a module imports, wherever in the file."""
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            yield node.module.split(".")[0] if node.module else node.names[0].name
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            parts = node.module.split(".")
            if parts[0] == "mdmjax":
                yield parts[1] if len(parts) > 1 else node.names[0].name


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    layer = layer_of(path)
    if layer == "__init__":
        return
    for imported in imported_layers(path):
        assert imported in LAYERS, f"{imported} is no layer"
        assert LAYERS.index(imported) <= LAYERS.index(layer), f"{layer} imports {imported}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_library_does_not_touch_the_world(path):
    """No printing, no files, no global JAX flag, no pickle below `files` and `cli`."""
    source = ast.parse(path.read_text())
    calls = {ast.unparse(n.func) for n in ast.walk(source) if isinstance(n, ast.Call)}
    assert not any("pickle" in c for c in calls)
    if layer_of(path) in PURE:
        assert not calls & {"print", "open", "jax.config.update", "np.load", "np.save", "np.savez"}
