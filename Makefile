# The front door: `make demo` and `make test` work on a fresh clone with Python 3.11+, git, make and a compiler.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
JOBS   ?= 2
STAMP  := $(VENV)/.installed
STAMP_DEV := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo test test-full test-faults up bench bench-gpu bench-monitoring lint format schema constraints clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "MTaC needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Remedy: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml setup.cfg constraints.txt | $(BIN)/python
	@echo "Installing the pinned stack into $(VENV) (a minute or two) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	@touch $@

$(STAMP_DEV): pyproject.toml setup.cfg constraints.txt | $(BIN)/python
	@echo "Installing the pinned stack and the development tools into $(VENV) (a minute or two) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP) $@

install: $(STAMP)  ## the pinned stack, in .venv
install-dev: $(STAMP_DEV)  ## the same with what tests and lint need

demo: $(STAMP)  ## a year of flights in, an evaluated, tracked and reproduced model out
	@$(BIN)/python -m mtac_assets.cli demo

test: $(STAMP_DEV)  ## the tests (under 10 minutes on 2 cores)
	@$(BIN)/python -m pytest -n $(JOBS) -m 'not slow and not fault'

test-full: $(STAMP_DEV)  ## all tests: also the slow ones and the fault suite
	@$(BIN)/python -m pytest -n $(JOBS)

test-faults: $(STAMP_DEV)  ## the fault suite alone
	@$(BIN)/python -m pytest -n $(JOBS) -m 'fault'

up: $(STAMP)  ## Dagster, its daemon and MLflow on loopback
	@$(BIN)/python -m mtac_assets.cli up

bench: $(STAMP_DEV)  ## the benchmarks, as ratios; results under benchmarks/results/
	@$(BIN)/python -m benchmarks

bench-monitoring: $(STAMP_DEV)  ## drift: false alarms, power, speed; the gate: error, power (12 minutes)
	@$(BIN)/python -m benchmarks monitoring gate

bench-gpu: $(STAMP_DEV)  ## GPT-2 124M on one GPU; says so where there is none
	@$(BIN)/python -m benchmarks gpu

lint: $(STAMP_DEV)  ## ruff, pyright, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/lint-imports
	@$(BIN)/pyright

format: $(STAMP_DEV)  ## apply ruff's fixes and format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

schema: $(STAMP)  ## write docs/schema/*.json anew
	@for kind in recipe dataset environment; do $(BIN)/python -m mtac_assets.cli schema $$kind > docs/schema/$$kind.schema.json; done

constraints:  ## resolve the stack anew and pin all of it in constraints.txt
	@$(PYTHON) deploy/pin_constraints.py

clean:  ## remove what can be made again, but not .mtac (your models)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
