# The front door: `make demo` and `make test` work on a fresh clone with Python 3.11+, git, make and a compiler.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
JOBS   ?= 2
STAMP  := $(VENV)/.installed
STAMP_DEV := $(VENV)/.installed-dev
# A Python's own pip may be years old, and takes twice as long. Modules are compiled when they are first imported, which most never are:
# compiling all of them took longer than the demo.
PIP    := pip==26.3
INSTALL = PYTHONWARNINGS="ignore:Editable installation" $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Our processes are many and short: compiling the same modules anew in each of them took a fifth of their time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo test test-slow test-full test-faults up bench bench-gpu bench-monitoring lint types smoke definitions check recipe-diff audit image same-image deploy prove format schema constraints clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "MTaC needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Remedy: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml setup.cfg constraints.txt | $(BIN)/python
	@echo "Installing the pinned stack into $(VENV) (a minute or two) ..."
	@$(INSTALL) '$(PIP)' && $(INSTALL) --no-compile -c constraints.txt -e '.[demo]'
	@touch $@

$(STAMP_DEV): pyproject.toml setup.cfg constraints.txt | $(BIN)/python
	@echo "Installing the pinned stack and the development tools into $(VENV) (a minute or two) ..."
	@$(INSTALL) '$(PIP)' && $(INSTALL) --no-compile -c constraints.txt -e '.[dev]'
	@touch $(STAMP) $@

install: $(STAMP)  ## the pinned stack, in .venv
install-dev: $(STAMP_DEV)  ## the same with what tests and lint need

demo: $(STAMP)  ## a year of flights in, an evaluated, tracked and reproduced model out
	@$(BIN)/python -m mtac_assets.cli demo

test: $(STAMP_DEV)  ## the tests (under 10 minutes on 2 cores)
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m 'not slow and not fault'

test-slow: $(STAMP_DEV)  ## the slow tests that inject no fault, which neither of the two others runs
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m 'slow and not fault'

test-full: $(STAMP_DEV)  ## all tests: also the slow ones and the fault suite
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

test-faults: $(STAMP_DEV)  ## the fault suite alone
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m 'fault'

up: $(STAMP)  ## Dagster, its daemon and MLflow on loopback
	@$(BIN)/python -m mtac_assets.cli up

bench: $(STAMP_DEV)  ## the benchmarks, as ratios; results under benchmarks/results/
	@$(BIN)/python -m benchmarks

bench-monitoring: $(STAMP_DEV)  ## drift and the gate: error, power, speed; ticks of sensors; landing to run; replays of 300 days (over an hour)
	@$(BIN)/python -m benchmarks monitoring gate monitoring_triggers landing replay

bench-gpu: $(STAMP_DEV)  ## GPT-2 124M on one GPU; says so where there is none
	@$(BIN)/python -m benchmarks gpu

lint: $(STAMP_DEV) types  ## ruff, pyright, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/lint-imports

types: $(STAMP_DEV)  ## pyright alone
	@$(BIN)/pyright

smoke: $(STAMP_DEV)  ## contracts on a few days, a first step with a finite loss, one batch learnt by heart, of each shipped recipe
	@$(BIN)/python -m deploy.smoke

definitions: $(STAMP_DEV)  ## does Dagster load all definitions, in every environment?
	@for environment in $(notdir $(basename $(wildcard mtac_assets/environments/*.yaml))); do \
	  APP_ENV=$$environment $(BIN)/python -m dagster definitions validate -m mtac_assets.definitions --log-level warning || exit 1; done

CHECK_AS_OF ?= 2013-07-15
check: $(STAMP_DEV)  ## every recipe, dataset and environment well-formed; language models' preflight
	@$(BIN)/python -m mtac_assets.cli check
	@for recipe in $(wildcard mtac_assets/defs/*/recipe.yaml); do \
	  $(BIN)/python -m mtac_assets.cli check $$recipe --workers 1 --device cpu \
	    $$(grep -q '^window:' $$recipe && echo --as-of $(CHECK_AS_OF)) || exit 1; done

BASE ?= origin/main
recipe-diff: $(STAMP_DEV)  ## what changes in recipes against BASE, as Markdown
	@$(BIN)/python -m deploy.recipe_diff $(BASE)

audit: $(STAMP_DEV)  ## licences and known vulnerabilities of the pinned stack
	@$(BIN)/python -m deploy.audit $(AUDIT)

image:  ## build both images once and push them, IMAGE and IMAGE-worker; digests go into image-digest, worker-digest (IMAGE=registry/name)
	@test -n "$(IMAGE)" || { echo "make image IMAGE=registry/name"; exit 2; }
	@set -e; commit=$$(git rev-parse HEAD); lock=$$(sha256sum constraints.txt | cut -d ' ' -f 1); \
	for target in service:$(IMAGE):image-digest worker:$(IMAGE)-worker:worker-digest; do \
	  name=$${target#*:}; file=$${name##*:}; name=$${name%:*}; \
	  docker build -f deploy/Dockerfile --target $${target%%:*} --build-arg COMMIT=$$commit --build-arg LOCK=$$lock -t $$name:$$commit .; \
	  docker push --quiet $$name:$$commit; \
	  docker inspect --format '{{index .RepoDigests 0}}' $$name:$$commit > $$file; \
	done

# On the server that DOCKER_HOST names (ssh://user@host; SSH_KEY: the key, where no agent holds it).
COMPOSE = docker compose -f deploy/compose.yaml -p mtac-$(ENVIRONMENT)
REACH   = if [ -n "$$SSH_KEY" ]; then eval "$$(ssh-agent -s)" > /dev/null; trap 'ssh-agent -k > /dev/null' EXIT; printf '%s\n' "$$SSH_KEY" | ssh-add -q -; fi
SERVER  = MTAC_ENVIRONMENT=$(ENVIRONMENT) MTAC_IMAGE_REFERENCE=$(DEPLOY) MTAC_IMAGE_EXPECTED=$(lastword $(subst @, ,$(DEPLOY)))

deploy:  ## bring up all services of an image by digest, and wait until they are healthy (ENVIRONMENT, DEPLOY=IMAGE@sha256:...)
	@$(REACH); $(SERVER) $(COMPOSE) pull --quiet && $(SERVER) $(COMPOSE) up --detach --wait --wait-timeout 600 --remove-orphans

PROVE_RECIPE ?= flight_delays
PROVE_AS_OF  ?= 2013-03-01
prove:  ## doctor, and the line from end to end on a small window; what it proves goes into proved.json (WORKER: the worker image of the same build)
	@$(REACH); $(SERVER) $(COMPOSE) exec -T code python -m mtac_assets.cli doctor
	@$(REACH); $(SERVER) $(COMPOSE) exec -T code python -m mtac_assets.cli run $(PROVE_RECIPE) --as-of $(PROVE_AS_OF) \
	  --set window.train_days=28 --set window.test_days=7 --set training.epochs=1
	@$(PYTHON) deploy/same_image.py --proved proved.json --deploy $(DEPLOY) $(if $(WORKER),--worker $(WORKER)) --write $$(git rev-parse HEAD)

same-image:  ## refuse every image but the one that was proved on staging (PROVED=FILE DEPLOY=IMAGE@sha256:...)
	@$(PYTHON) deploy/same_image.py --proved $(PROVED) --deploy $(DEPLOY)

format: $(STAMP_DEV)  ## apply ruff's fixes and format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

schema: $(STAMP)  ## write docs/schema/*.json anew
	@for kind in recipe dataset environment; do $(BIN)/python -m mtac_assets.cli schema $$kind > docs/schema/$$kind.schema.json; done

constraints:  ## resolve the stack anew and pin all of it in constraints.txt
	@$(PYTHON) deploy/pin_constraints.py

clean:  ## remove what can be made again, but not .mtac (your models)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
