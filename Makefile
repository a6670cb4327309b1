# Everything a newcomer needs: `make demo` and `make test`. Needs a Python >= 3.11 and make; builds its own .venv.
# Another interpreter: make demo PYTHON=/path/to/python3.12      Another environment: make demo VENV=/tmp/venv

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test extras slow bench lint format types contracts smoke clean

VENV ?= .venv
PY := $(VENV)/bin/python
RUFF := $(PY) -m ruff
# The first interpreter that runs and is new enough; a name on the PATH alone proves neither.
FIND_PYTHON = for name in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo $$name; exit 0; fi; done
PYTHON ?= $(shell $(FIND_PYTHON))

# Stamps are named by the content of pyproject.toml: a checkout that only changes file times installs nothing again.
CONTENT := $(shell cksum pyproject.toml | cut -d' ' -f1)
EXAMPLES := $(VENV)/.installed-examples-$(CONTENT)
DEV := $(VENV)/.installed-dev-$(CONTENT)
BENCH := $(VENV)/.installed-bench-$(CONTENT)
EXTRAS := $(VENV)/.installed-extras-$(CONTENT)
# Ax brings PyTorch. Installed first and by this number, so that no later release is taken with all that it needs for GPUs.
TORCH ?= torch==2.13.0
# Two --quiet: what pip merely remarks on is not for the reader of a demo; its errors are shown.
INSTALL = PIP_DISABLE_PIP_VERSION_CHECK=1 $(PY) -m pip install --quiet --quiet --no-input --editable

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*##/\1:/p' Makefile | awk -F': *' '{ printf "  make %-10s %s\n", $$1, $$2 }'

demo: $(EXAMPLES)  ## Run examples/digits.py: three kinds of models compete for 60 trials
	@$(PY) examples/digits.py

test: $(DEV)  ## Run the tests, but for the slow ones
	$(PY) -m pytest -q

extras: $(EXTRAS)  ## Run the tests of optimizers with Ax and PyTorch, which the other tests do without
	$(PY) -m pytest -q tests/optimizers

slow: $(DEV)  ## Run the slow tests (passes when there are none)
	@$(PY) -m pytest -q -m slow; code=$$?; if [ $$code -eq 5 ]; then echo "no slow tests yet"; else exit $$code; fi

bench: $(BENCH)  ## Measure the cost of the framework, beside Optuna, hand-written loops and, where [peers] is installed, peers
	$(PY) benchmarks/overhead.py
	$(PY) benchmarks/stages.py
	$(PY) benchmarks/ucb.py
	$(PY) benchmarks/footprint.py
	$(PY) benchmarks/nesting.py --repeats 3

lint: $(DEV)  ## Check style and formatting
	$(RUFF) check .
	$(RUFF) format --check .

format: $(DEV)  ## Format all files
	$(RUFF) check --fix-only --quiet .
	$(RUFF) format .

types: $(EXTRAS)  ## Check types with mypy and pyright
	$(PY) -m mypy
	$(PY) -m pyright

contracts: $(DEV)  ## Check that imports go down only
	$(VENV)/bin/lint-imports --no-cache --no-logo

smoke: $(EXAMPLES)  ## Run every example once
	@set -e; for example in examples/*.py examples/pipelines/*.py; do echo "== $$example"; METTA_SWEEP_STORE=memory $(PY) $$example; done

clean:  ## Remove the environment and all caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@if [ -z "$(PYTHON)" ]; then echo "No Python >= 3.11 was found. Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) does not run, or is older than Python 3.11. Name another: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Making an environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

# Order-only on the interpreter: its file time says nothing about what is installed.
$(EXAMPLES): | $(PY)
	@echo "Installing metta_sweep[examples] into $(VENV) ..."
	@$(INSTALL) '.[examples]'
	@touch $@

$(DEV): | $(PY)
	@echo "Installing metta_sweep[dev] into $(VENV) ..."
	@$(INSTALL) '.[dev]'
	@touch $@

$(BENCH): | $(PY)
	@echo "Installing metta_sweep[dev,bench] into $(VENV) ..."
	@$(INSTALL) '.[dev,bench]'
	@touch $@

$(EXTRAS): | $(PY)
	@echo "Installing metta_sweep[dev,bench,ax] into $(VENV) ..."
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(PY) -m pip install --quiet --quiet --no-input $(TORCH)
	@$(INSTALL) '.[dev,bench,ax]'
	@touch $@
