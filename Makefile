# Two commands from a fresh machine with Python 3.11+: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile  # a process for each core, a thread for each process

.PHONY: demo test test-slow postgresql lint format benchmarks clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/.installed  ## Train on handwritten digits, sample, evaluate, write a report: at most 3 minutes on 2 cores
	$(BIN)/reverie train digits -o runs/demo --budget 100s --seed 0 --guidance 1.1 --overwrite
	$(BIN)/reverie sample runs/demo -n 40 --label 0,1,2,3,4,5,6,7,8,9
	$(BIN)/reverie evaluate runs/demo

test: $(VENV)/.installed lint postgresql  ## Lint, types and the quick tests
	$(PYTEST)

test-slow: $(VENV)/.installed postgresql  ## The slow tests
	$(PYTEST) -m slow

postgresql:  ## For the server's tests, where it is missing and can be had; they say so and go on without it
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || test "$$(id -u)" != 0 || \
	  (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql) >/dev/null 2>&1 || true

lint: $(VENV)/.installed
	$(BIN)/ruff check src tests benchmarks tools
	$(BIN)/ruff format --check src tests benchmarks tools
	$(BIN)/mypy

format: $(VENV)/.installed
	$(BIN)/ruff check --fix src tests benchmarks tools
	$(BIN)/ruff format src tests benchmarks tools

benchmarks: $(VENV)/.installed  ## Figures of benchmarks/README.md, anew (half an hour)
	$(BIN)/python benchmarks/train_speed.py
	test -d .venv-bench || ($(PYTHON) -m venv .venv-bench && .venv-bench/bin/pip install -q --no-deps -r benchmarks/requirements.txt)
	$(BIN)/python benchmarks/quality_at_budget.py

clean:
	rm -rf $(VENV) runs dist build .pytest_cache .mypy_cache .ruff_cache
