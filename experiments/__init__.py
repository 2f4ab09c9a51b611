"""One file an experiment: `Config`, `SMOKE` and `run(config, progress)`; see `_run.py`."""
