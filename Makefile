# What a person types. `make` alone says what there is; `make run` and `make test` do their own set-up.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup setup-run run check test prove bench clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## everything: virtual environment, system packages, load generators, Apache Kafka as the peer
	@tools/setup.sh all

setup-run:
	@tools/setup.sh run

run: setup-run ## start a broker and carry this machine's log files through it, live
	@exec .venv/bin/moldau quickstart

check: setup-run ## the quick part: style, types, layers, unit tests
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check --quiet
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@$(PYTEST) -q -n 2 -m "not interop and not peer and not slow"

test: setup check ## check, then real clients, durability, hostile input, the wheel
	@$(PYTEST) -m "interop or peer or slow"

prove: setup ## the long proofs, with dated results in docs/results/
	@PROVE=1 $(PYTEST) -p no:randomly tests/durability tests/fuzz --timeout=7200

bench: setup ## Moldau beside Apache Kafka; writes bench/results.json
	@$(PYTHON) -m bench

clean: ## remove what was built (not the caches of other tools)
	@rm -rf .venv dist bench/build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
