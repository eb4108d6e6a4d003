# make demo    the main job on a simulated world, with the core alone
# make test    every extra and the development tools, then the tests
# make bench   what is fast and how fast; bench/studies/ holds the long measurements of what helps, which need data sets
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo install test lint docs bench clean

demo: .venv/.core
	$(BIN)/loreweave demo

install: .venv/.all

test: .venv/.all
	$(BIN)/python -m pytest

lint: .venv/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/.all
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

bench: .venv/.all bench/.peers/pyg
	set -e; for script in bench/*.py; do echo "== $$script"; $(BIN)/python $$script; done

# A peer in a folder of its own: it must not touch the environment's torch.
bench/.peers/pyg:
	$(BIN)/python -m pip install --quiet --no-deps --target $@ torch_geometric xxhash psutil

# RecTools with the same interpreter and torch, in an environment of its own: it needs NumPy < 2. Not asked for by `make bench`, because it
# takes 1.3 GB and serves only those who have the data sets; bench/sasrec_epoch.py uses it where it is there.
bench/.peers/rectools: | $(BIN)/python
	$(BIN)/python -m venv $@
	$@/bin/python -m pip install --quiet -c constraints.txt 'rectools[torch]==0.19.0' torch 'numpy<2' || { rm -rf $@; exit 1; }

clean:
	rm -rf .venv docs/_build runs/demo

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Loreweave needs Python 3.11 or newer: make PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv

# The stamps say what was installed from which pyproject.toml, so that a second call is quick.
.venv/.core: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

.venv/.all: pyproject.toml constraints.txt | .venv/.core
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'  # the first that knows --group
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all]' --group dev
	@touch $@
