# Every target works from a fresh clone: it makes .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: schedule test test-all lint bench experiments figures clean

schedule: $(VENV)/.installed-base ## the main job on real input: the standard library's own source
	$(BIN)/mdmjax schedule text

test: $(VENV)/.installed-test ## all tests but the slow ones, in programs that are compiled quickly
	$(BIN)/python -m pytest -q -n 2 -m "not slow" --unoptimized

test-all: $(VENV)/.installed-test ## every test, in programs compiled as users have them
	$(BIN)/python -m pytest -q -n 2

lint: $(VENV)/.installed-dev ## ruff and basedpyright, as CI runs them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python

bench: $(VENV)/.installed-bench ## ratios against the peers, on whatever device JAX finds
	$(BIN)/python -m bench

experiments: $(VENV)/.installed-figures ## every experiment at full size
	$(BIN)/python -m experiments --all

figures: experiments ## every experiment, then every figure from the stored results
	$(BIN)/python -m paper_figures

clean:
	rm -rf $(VENV) .pytest_cache build dist *.egg-info

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-base: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	touch $@
