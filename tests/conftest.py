import os
import pathlib
import subprocess
import sys

import pytest

UNOPTIMIZED = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
"""XLA compiles in half the time, as it does not look for the fastest program."""


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", help="JAX platform that the tests run on: cpu, cuda, tpu")
    parser.addoption("--float32", action="store_true", help="run what is marked any_float, without x64")
    parser.addoption("--unoptimized", action="store_true", help="compile quickly, but not what users run")


def pytest_configure(config):
    os.environ["JAX_PLATFORMS"] = config.getoption("--device")
    # Programs are compiled once for every test, process and run: most of the time is theirs.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(config.rootpath / ".pytest_cache" / "programs"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    if config.getoption("--unoptimized") and knows(UNOPTIMIZED):
        os.environ["XLA_FLAGS"] = UNOPTIMIZED
    import jax

    jax.config.update("jax_enable_x64", not config.getoption("--float32"))
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    if config.getoption("--device") == "cpu":
        jax.config.update("jax_num_cpu_devices", 2)
    jax.devices()  # reads the flags: what the tests start compiles as users do
    if config.getoption("--unoptimized"):
        os.environ.pop("XLA_FLAGS", None)


def knows(flags):
    """Whether this XLA has the flags: one that it does not know ends the process."""
    script, env = "import jax; jax.devices()", os.environ | {"XLA_FLAGS": flags}
    return subprocess.run([sys.executable, "-c", script], env=env, capture_output=True).returncode == 0


def pytest_collection_modifyitems(config, items):
    if config.getoption("--float32"):
        left_out = [item for item in items if item.get_closest_marker("any_float") is None]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item.get_closest_marker("any_float")]


@pytest.fixture
def key():
    import jax

    return jax.random.key(0)


@pytest.fixture
def without_type_checks(monkeypatch):
    """Types as users have them, whose arguments nothing checks before our own code does."""
    import jaxtyping

    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(autouse=True, scope="module")
def forget_programs():
    """A compiled program takes some 20 memory maps; a process that wants over 65530 of them is ended."""
    yield
    maps = pathlib.Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 20_000:
        import jax

        jax.clear_caches()
