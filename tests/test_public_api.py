"""The table of contents: every public name exists, says what it is, and follows one grammar."""

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys

import equinox as eqx
import pytest

import mdmjax

SEEDED = {"measure"}  # its masks are NumPy's, so that a script without JAX draws the same
LIBRARY = [
    module.name
    for module in pkgutil.walk_packages(mdmjax.__path__, "mdmjax.")
    if ".cli" not in module.name and module.name != "mdmjax.__main__"  # that one runs the command
]


@pytest.mark.parametrize("name", sorted(mdmjax.__all__))
def test_public_name(name):
    item = getattr(mdmjax, name)
    if not callable(item):
        return
    assert inspect.getdoc(item), f"{name} has no docstring"
    if inspect.isclass(item):
        return
    signature = inspect.signature(item)
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty, f"{name}({parameter.name})"
        assert parameter.name not in {"rng", "rng_key"}
        assert parameter.name != "seed" or name in SEEDED
        if parameter.name == "key":
            assert parameter.default is inspect.Parameter.empty
            assert next(iter(signature.parameters)) == "key", f"{name}: the key comes first"
    assert signature.return_annotation is not inspect.Signature.empty, name


@pytest.mark.parametrize("name", sorted(mdmjax.__all__))
def test_classes_are_abstract_or_final(name):
    item = getattr(mdmjax, name)
    if inspect.isclass(item) and issubclass(item, eqx.Module):
        for base in item.__mro__[1:]:
            if base.__module__.startswith("mdmjax"):
                assert base.__name__.startswith("Abstract")


@pytest.mark.parametrize("name", LIBRARY)
def test_examples_in_docstrings_run(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_the_table_of_contents_is_short():
    """What a user composes: the rest is reached through its room."""
    assert len(mdmjax.__all__) == len(set(mdmjax.__all__)) <= 115


def test_what_is_in_the_table_of_contents_has_an_example():
    public = {name: getattr(mdmjax, name) for name in mdmjax.__all__}
    assert [name for name, item in public.items() if callable(item) and ">>>" not in item.__doc__] == []


def test_import_of_the_package_is_light():
    code = "import sys, mdmjax, mdmjax.cli; print('jax' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "False"
