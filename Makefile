# Elastic Face. `make help` lists the commands.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
EXTRAS := web,export,controller,local,hypervisor,dev
# CPU builds of torch; the default index would bring gigabytes of CUDA.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

# compose: containers, with LocalStack. embedded: processes of this machine. Unless it is chosen, it is the stack that is
# up, else containers where a Docker engine answers.
STACK ?= $(shell cat .run/stack 2>/dev/null || local/compose available || echo embedded)
STACK := $(STACK)
STACK_COMMAND = $(if $(filter compose,$(STACK)),local/compose,$(BIN)/python -m facelocal.stack)
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
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

.venv/.ready: pyproject.toml requirements.lock deploy/install-torch
	@echo "Making the environment in .venv (once, one to two minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@PIP="$(BIN)/python -m pip" TORCH_INDEX=$(TORCH_INDEX) deploy/install-torch
	@$(BIN)/python -m pip install -q -c requirements.lock -e '.[$(EXTRAS)]'
	@touch $@

.PHONY: up
up: $(STACK_READY) ## Start the whole system on this machine (GALLERY=folder WEB_PORT=8000 AWS_PORT=4566 STACK=compose|embedded)
	@$(STACK_COMMAND) up
	@mkdir -p .run && echo $(STACK) >.run/stack

.PHONY: down
down: $(STACK_READY) ## Stop it, nothing left behind
	@$(STACK_COMMAND) down
	@rm -f .run/stack

.PHONY: status
status: $(STACK_READY) ## Show programs, instances and queues
	@$(STACK_COMMAND) status

.PHONY: logs
logs: $(STACK_READY) ## Follow the logs of all programs
	@$(STACK_COMMAND) logs

.PHONY: enrol enroll
enrol: $(STACK_READY) ## Enrol GALLERY=folder (<subject>/*.jpg) into the running local stack
	@$(STACK_COMMAND) enrol
enroll: enrol

.PHONY: push
push: .venv/.ready ## AWS: build the images and push them to the registry of EFACE_ID=id
	@$(BIN)/python -m facedeploy push

.PHONY: preflight
preflight: .venv/.ready ## AWS: check what a deployment needs, before anything is created (EFACE_ID=id)
	@$(BIN)/python -m facedeploy preflight

.PHONY: deploy
deploy: .venv/.ready ## AWS: create or update the deployment EFACE_ID=id (AMI=ami-… for another than of `make ami`)
	@$(BIN)/python -m facedeploy deploy

.PHONY: enrol-aws enroll-aws
enrol-aws: .venv/.ready ## AWS: enrol GALLERY=folder (<subject>/*.jpg) into the deployment EFACE_ID=id
	@$(BIN)/python -m facedeploy enrol
enroll-aws: enrol-aws

.PHONY: destroy
destroy: .venv/.ready ## AWS: remove the deployment EFACE_ID=id (KEEP_DATA=no for the data too, YES=1 not to be asked)
	@$(BIN)/python -m facedeploy destroy

# The evaluator of IAM policies that the tests of permissions use; its versions and hashes are in the lock file.
tests/iam/node_modules/.ready: .venv/.ready tests/iam/package.json tests/iam/package-lock.json
	@cd tests/iam && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent
	@touch $@

# Tests that wait for containers leave their processor to others: a process more than there are processors. What drives
# a whole stack or measures time comes after them, with nothing beside it.
JOBS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
SHARED_OUT = -m "not alone" --durations=20 -n $(JOBS) --dist loadfile --no-loadscope-reorder --cov --cov-report=
ALONE = -m alone --durations=20 --cov --cov-append --cov-report=term-missing:skip-covered

.PHONY: test
test: .venv/.ready tests/iam/node_modules/.ready ## Run all tests (TESTS="tests/unit -k name" for some)
	@$(if $(TESTS),$(BIN)/python -m pytest $(TESTS),$(BIN)/python -m pytest $(SHARED_OUT) && $(BIN)/python -m pytest $(ALONE))

.PHONY: lint
lint: .venv/.ready ## Check style, types and the arrows between packages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/cfn-lint deploy/*.yaml
	@$(BIN)/hadolint images/web/Dockerfile images/worker/Dockerfile controller/Dockerfile local/Dockerfile \
	  local/machine/Dockerfile tests/registry/Dockerfile
	@$(BIN)/shellcheck $$(git grep -lE '^#!(/usr/bin/env |/bin/)(ba)?sh$$')
	@$(BIN)/zizmor --quiet --offline .github/workflows
	@packer/check

.PHONY: ami
ami: ## Build the machine image with Packer in your AWS account (after make push; EFACE_REGION=us-east-1)
	@packer/build -var region=$(or $(EFACE_REGION),us-east-1)

.PHONY: ami-local
ami-local: .venv/.ready ## Build the machine image with Packer against LocalStack, and boot it
	@$(BIN)/python -m pytest -v tests/e2e/test_machine_image.py

.PHONY: chain
chain: .venv/.ready ## Build the machine image against LocalStack, and answer 20 requests on instances of it
	@$(BIN)/python -m pytest -v tests/e2e/test_machine_chain.py

.PHONY: bench
bench: bench-path bench-burst bench-recognise bench-gallery bench-tick ## Run every benchmark

.PHONY: bench-path
bench-path: .venv/.ready ## Measure the request path against the emulator's own floor
	@PYTHONPATH=tests $(BIN)/python tests/bench/path.py

.PHONY: bench-burst
bench-burst: .venv/.ready ## Measure bursts from zero instances: 100 at once, 500 held
	@PYTHONPATH=tests $(BIN)/python tests/bench/burst.py

.PHONY: bench-recognise
bench-recognise: .venv/.ready ## Measure recognition against facenet-pytorch as a class project uses it
	@PYTHONPATH=tests $(BIN)/python tests/bench/recognise.py

.PHONY: bench-thresholds
bench-thresholds: .venv/.ready ## Measure match thresholds on FOLDER=folder (<subject>/*.jpg; VARIATIONS=n of each picture)
	@PYTHONPATH=tests $(BIN)/python tests/bench/thresholds.py $(or $(FOLDER),tests/faces/gallery) $(or $(VARIATIONS),0)

.PHONY: bench-gallery
bench-gallery: .venv/.ready ## Measure matches against a gallery of 1,000,000 embeddings
	@PYTHONPATH=tests $(BIN)/python tests/bench/gallery.py

.PHONY: parity
parity: .venv/.ready ## Compare the engines on all photographs and 200 variations (FACES_FOLDER=more photographs)
	@PYTHONPATH=tests $(BIN)/python tools/parity.py

.PHONY: fuzz
fuzz: .venv/.ready ## Recognise 10,000 damaged images: a result or a named error, nothing else
	@FUZZ_INPUTS=10000 $(BIN)/python -m pytest --timeout=3600 -k fuzz tests/integration/test_bad_images.py

.PHONY: bench-tick
bench-tick: .venv/.ready ## Measure a controller's tick with 10,000 instances
	@PYTHONPATH=tests $(BIN)/python tests/bench/tick.py

.PHONY: simulate
simulate: .venv/.ready ## Simulate the scaling policies (TRACE=burst POLICY=frugal SEED=1 SEEDS=5 SERVICE_S=1 TOKENS=1000), or FUZZ=1000 examples of each invariant
	@$(if $(FUZZ),FUZZ=$(FUZZ) $(BIN)/python -m pytest -q --timeout=0 $(INVARIANTS),\
	  PYTHONPATH=tests $(BIN)/python -m simulation --seed $(or $(SEED),1) $(TRACE:%=--trace %) $(POLICY:%=--policy %) \
	  $(SEEDS:%=--seeds %) $(SERVICE_S:%=--service-s %) $(TOKENS:%=--instance-tokens %))

.PHONY: structure
structure: .venv/.ready ## Count functions, files and modules against the house style, into docs/structure.md
	@$(BIN)/python tools/structure.py

.PHONY: mutate-rules
mutate-rules: .venv/.ready ## Remove the rules one by one, check that their own tests fail, and write docs/elasticity.md
	@PYTHONPATH=tests $(BIN)/python tools/mutate_rules.py
