"""Imports go one way: a room imports only from the rooms before its own, and no files go in a circle."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "mdmjax"
PURE = [
    "_types",
    "_errors",
    "_numerics",
    "_checks",
    "_contexts",
    "_draws",
    "distributions",
    "information",
    "families",
    "divergences",
    "schedules",
    "adapters",
    "denoisers",
    "losses",
    "decoders",
    "traces",
    "laws",
    "policies",
    "tasks",
    "training",
]
LAYERS = [*PURE, "files", "studies", "sweeps", "cli"]
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    return path.relative_to(PACKAGE.parent).with_suffix("").parts


def layer_of(path):
    return name_of(path)[1]


def imported(path):
    """The modules of the package that a file imports, wherever in the file, as tuples of names."""
    parts = name_of(path)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = parts[: len(parts) - node.level] if node.level else ()
            whole = (*base, *(node.module.split(".") if node.module else ()))
            if whole[:1] == ("mdmjax",):
                for name in node.names:
                    longer = (*whole, name.name)
                    is_file = (PACKAGE.parent / pathlib.Path(*longer)).with_suffix(".py").is_file()
                    yield longer if is_file else whole


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    layer = layer_of(path)
    if layer in ("__init__", "__main__"):
        return
    for module in imported(path):
        if len(module) > 1:
            assert module[1] in LAYERS, f"{module[1]} is no layer"
            assert LAYERS.index(module[1]) <= LAYERS.index(layer), f"{layer} imports {module[1]}"


def test_no_files_import_each_other_in_a_circle():
    graph = {name_of(path): {m for m in imported(path) if m != name_of(path)} for path in MODULES}
    done, open_ = set(), []

    def visit(module):
        assert module not in open_, f"a circle: {[*open_, module]}"
        if module in done or module not in graph:
            return
        open_.append(module)
        for following in graph[module]:
            visit(following)
        done.add(open_.pop())

    for module in graph:
        visit(module)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_library_does_not_touch_the_world(path):
    """No printing, no files, no global JAX flag, no pickle below `files` and `cli`."""
    source = ast.parse(path.read_text())
    calls = {ast.unparse(n.func) for n in ast.walk(source) if isinstance(n, ast.Call)}
    assert not any("pickle" in c for c in calls)
    if layer_of(path) in PURE:
        assert not calls & {"print", "open", "jax.config.update", "np.load", "np.save", "np.savez"}
