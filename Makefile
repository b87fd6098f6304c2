# Everything runs from .venv, which `make install` builds from the pinned files in requirements/.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install debian-tools demo demo-valkey serve test check bench-valkey bench-transfer bench-upkeep clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

install: $(STAMP) ## Build .venv with memrouter and all it needs

$(STAMP): requirements/runtime.txt requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "memrouter needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is not complete; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

demo: install ## Play the story: a user tells, a new session knows, nobody else does
	$(BIN)/memrouter demo

demo-valkey: install ## Play the same story against a Valkey server that it starts itself
	$(BIN)/memrouter demo --store valkey

serve: install ## Keep a router running on 127.0.0.1:8888 (MEMROUTER_UPSTREAM names the model server)
	$(BIN)/memrouter serve $(ARGS)

check: install ## Lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check debian-tools ## Lint, types and every test
	PATH="$(CURDIR)/$(VENV)/debian/usr/bin:$$PATH" $(BIN)/pytest --numprocesses 2 $(ARGS)

debian-tools: install
	@scripts/debian_tools.sh $(VENV)/debian

bench-valkey: install ## Measure the Valkey store beside the raw commands
	$(BIN)/python -m benchmarks.valkey $(ARGS)

bench-transfer: install ## Measure how fast memories move between the stores
	$(BIN)/python -m benchmarks.transfer $(ARGS)

bench-upkeep: install ## Measure pruning and consolidation, and retrieval beside them
	$(BIN)/python -m benchmarks.upkeep $(ARGS)

clean: ## Remove .venv and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
