# SPDX-License-Identifier: GPL-2.0-or-later
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check

.PHONY: help demo test lint types layers check kernel clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: $(VENV)/stamp-run  ## review the seed's series on the sample tree and print the reply
	@sample_patches/demo

test: $(VENV)/stamp-dev  ## run the tests (as root: installs the Debian packages they need first)
	@.ci/setup
	@if [ "$$(id -u)" -eq 0 ]; then .ci/kernel-tree >/dev/null; fi
	$(BIN)/pytest -n $(JOBS)

lint: $(VENV)/stamp-dev  ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/stamp-dev  ## mypy --strict
	$(BIN)/mypy

layers: $(VENV)/stamp-dev  ## import-linter: a room imports only rooms that come before it
	$(BIN)/lint-imports

check: lint types layers test  ## all of these

kernel:  ## Debian's linux-source-6.12 as a git checkout in the cache (2 minutes, 2.5 GB)
	@.ci/kernel-tree

clean:  ## remove .venv and what the tools left; the kernel checkout stays
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# A virtual environment is set up again only when pyproject.toml has changed.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "make: $(PYTHON) is older than 3.11; try: make PYTHON=python3.11" >&2; exit 2; }
	@echo "make: setting up $(VENV)" >&2
	$(PYTHON) -m venv $(VENV)

$(VENV)/stamp-run: pyproject.toml | $(BIN)/python
	$(PIP) --upgrade 'pip>=25.1'
	$(PIP) -e .
	@touch $@

$(VENV)/stamp-dev: pyproject.toml | $(VENV)/stamp-run
	$(PIP) --group dev
	@touch $@
