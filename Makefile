# Everything runs from .venv, which `make install` builds from the pinned files in requirements/.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install debian-tools demo demo-valkey serve test check docs docs-serve bench bench-full bench-page bench-peers bench-transfer bench-upkeep bench-bytes bench-tuning bench-persistence clean

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

docs: install ## Build these documents as a site under site/, and check every link
	NO_MKDOCS_2_WARNING=1 $(BIN)/python scripts/build_site.py $(ARGS)

docs-serve: install ## Show the documents on 127.0.0.1:8008, anew with every change
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --dev-addr 127.0.0.1:8008 $(ARGS)

bench: install ## Measure everything in short rounds, beside raw commands and peers (about 10 minutes)
	$(BIN)/python -m benchmarks.suite --quick $(ARGS)

bench-full: install ## Measure everything at all sizes, with a soak of 30 minutes (hours)
	$(BIN)/python -m benchmarks.suite --full $(ARGS)

bench-page: install ## Write docs/benchmarks.md from the figures in docs/benchmarks/
	$(BIN)/python -m benchmarks.page $(ARGS)

bench-peers: ## Install the products that are measured beside memrouter, into .venv-peers
	@for peer in litellm betterdb mem0; do \
	  $(PYTHON) -m venv .venv-peers/$$peer && \
	  .venv-peers/$$peer/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
	    -r benchmarks/peers/$$peer.txt || echo "$$peer is not installed; the benchmarks will say so"; \
	done

bench-transfer: install ## Measure how fast memories move between the stores
	$(BIN)/python -m benchmarks.transfer $(ARGS)

bench-upkeep: install ## Measure pruning and consolidation, and retrieval beside them
	$(BIN)/python -m benchmarks.upkeep $(ARGS)

bench-bytes: install ## Measure what a memory takes in Valkey, in the first layout and in today's
	$(BIN)/python -m benchmarks.bytes_per_memory $(ARGS)

bench-tuning: install ## Measure indexes of Valkey: M and EF of HNSW beside an exact search (--resume goes on)
	$(BIN)/python -m benchmarks.tuning $(ARGS)

bench-persistence: install ## Measure what kill -9 loses by the way memories are kept, and what each way costs
	$(BIN)/python -m benchmarks.persistence $(ARGS)

clean: ## Remove .venv, .venv-peers and caches
	rm -rf $(VENV) .venv-peers .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
