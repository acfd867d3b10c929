# Elastic Face. `make help` lists the commands.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
EXTRAS := web,worker,controller,local,hypervisor,dev
# CPU builds of torch; the default index would bring gigabytes of CUDA.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

# embedded: processes of this machine. compose: containers, with LocalStack (needs a Docker engine).
STACK ?= embedded
STACK_COMMAND = $(if $(filter compose,$(STACK)),local/compose,$(BIN)/python -m embedded)
STACK_READY = $(if $(filter compose,$(STACK)),,.venv/.ready)

# The property tests of the controller, which FUZZ runs at length.
INVARIANTS = tests/unit/controller/test_policy_properties.py tests/unit/controller/test_simulation.py \
  tests/unit/controller/test_worlds.py

# What the local stacks answer on, and whom they know.
export WEB_PORT ?= 8000
export AWS_PORT ?= 4566
export GALLERY ?= tests/faces/gallery

.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.venv/.ready: pyproject.toml requirements.lock deploy/install-torch
	@echo "Making the environment in .venv (once, one to two minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@PIP="$(BIN)/python -m pip" TORCH_INDEX=$(TORCH_INDEX) deploy/install-torch
	@$(BIN)/python -m pip install -q -c requirements.lock -e '.[$(EXTRAS)]'
	@touch $@

.PHONY: up
up: $(STACK_READY) ## Start the whole system on this machine (GALLERY=folder WEB_PORT=8000 AWS_PORT=4566)
	@$(STACK_COMMAND) up

.PHONY: down
down: $(STACK_READY) ## Stop it, nothing left behind
	@$(STACK_COMMAND) down

.PHONY: status
status: $(STACK_READY) ## Show programs, instances and queues
	@$(STACK_COMMAND) status

.PHONY: logs
logs: $(STACK_READY) ## Follow the logs of all programs
	@$(STACK_COMMAND) logs

.PHONY: enroll
enroll: $(STACK_READY) ## Enrol GALLERY=folder (<subject>/*.jpg) into the running local stack
	@$(STACK_COMMAND) enroll

.PHONY: test
test: .venv/.ready ## Run all tests (TESTS="tests/unit -k name" for some)
	@$(BIN)/python -m pytest $(if $(TESTS),$(TESTS),--cov --cov-report=term-missing:skip-covered)

.PHONY: lint
lint: .venv/.ready ## Check style, types and the arrows between packages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/hadolint images/web/Dockerfile images/worker/Dockerfile controller/Dockerfile local/Dockerfile

.PHONY: bench
bench: bench-path bench-burst bench-tick ## Run every benchmark

.PHONY: bench-path
bench-path: .venv/.ready ## Measure the request path against the emulator's own floor
	@PYTHONPATH=tests $(BIN)/python tests/bench/path.py

.PHONY: bench-burst
bench-burst: .venv/.ready ## Measure bursts from zero instances: 100 at once, 500 held
	@PYTHONPATH=tests $(BIN)/python tests/bench/burst.py

.PHONY: bench-tick
bench-tick: .venv/.ready ## Measure a controller's tick with 10,000 instances
	@PYTHONPATH=tests $(BIN)/python tests/bench/tick.py

.PHONY: simulate
simulate: .venv/.ready ## Simulate the scaling policies (TRACE=burst POLICY=frugal SEED=1), or FUZZ=1000 examples of each invariant
	@$(if $(FUZZ),FUZZ=$(FUZZ) $(BIN)/python -m pytest -q --timeout=0 $(INVARIANTS),\
	  PYTHONPATH=tests $(BIN)/python -m simulation --seed $(or $(SEED),1) $(TRACE:%=--trace %) $(POLICY:%=--policy %))

.PHONY: mutate-rules
mutate-rules: .venv/.ready ## Remove the controller's rules one by one and write which test fails to docs/elasticity.md
	@PYTHONPATH=tests $(BIN)/python tests/mutate_rules.py
