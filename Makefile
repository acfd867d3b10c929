.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := web,worker,controller,local,dev
# CPU builds of torch; the default index would bring gigabytes of CUDA.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

$(VENV)/.ready: pyproject.toml requirements.lock deploy/install-torch
	@echo "Making the environment in $(VENV) (once, about two minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@PIP="$(BIN)/python -m pip" TORCH_INDEX=$(TORCH_INDEX) deploy/install-torch
	@$(BIN)/python -m pip install -q -c requirements.lock -e '.[$(EXTRAS)]'
	@touch $@
