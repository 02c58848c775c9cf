# `make demo` and `make test` work from a fresh checkout: they make their own environment in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# One thread a test process: two of them run side by side.
TEST_THREADS ?= 1

.PHONY: demo test quick lint format clean

demo: $(VENV)/.demo
	$(BIN)/mlic demo

test: lint
	OMP_NUM_THREADS=$(TEST_THREADS) $(BIN)/python -m pytest -n 2 --dist loadscope

# The suite without its slow tests.
quick: lint
	OMP_NUM_THREADS=$(TEST_THREADS) $(BIN)/python -m pytest -n 2 --dist loadscope -m "not slow"

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# The installation is repeated only when what it depends on has changed.
$(VENV)/.demo: $(BIN)/python pyproject.toml tests/constraints.txt
	$(PIP) install -e ".[offline]" -c tests/constraints.txt
	touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml tests/constraints.txt
	$(PIP) install -e ".[offline,test]" -c tests/constraints.txt
	touch $(VENV)/.demo $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mlic needs Python 3.11 or newer; this is " + sys.version.split()[0] + " (make PYTHON=python3.12 ... names another)")'
	$(PYTHON) -m venv $(VENV)
