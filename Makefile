# What a person does with this project. Each command makes what it needs by itself, once:
# requirements/env.sh holds how.
#
#   PYTHON=python3.13   use this interpreter, in an environment of its own
#   VENV=DIRECTORY      where the environment lies
#   ARGS="..."          arguments for the command behind: make test ARGS="-k money -x"

PYTHON ?=
VENV ?= .venv$(addprefix -,$(notdir $(PYTHON)))
ARGS ?=
export PYTHON VENV

RUN := requirements/env.sh run
DEV := requirements/env.sh dev
# Browsers, servers and proxies are installed once thorough tests are asked for.
TEST := requirements/env.sh $(if $(findstring --thorough,$(ARGS)),test-all,test)
TEST_ALL := requirements/env.sh test-all
# More workers than cores: half of what tests do is to wait. The last takes those that only compute,
# and gives way to the others (tests/sharing_out.py).
PYTEST := python -m pytest --numprocesses=4 --dist=loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help run test test-all coverage check bench docs lock clean

help: ## Show these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

run: ## Start everything and open a phone in the browser
	@$(RUN) caller demo $(ARGS)

test: ## Pass the tests that tell whether a change is right: minutes
	@exec $(TEST) $(PYTEST) $(ARGS)

test-all: ## Pass all tests: also real servers, browsers, faults, compiled modules
	@$(RUN) true
	@exec $(TEST_ALL) python -m tests.wheel_tree $(PYTEST) --thorough $(ARGS)

coverage: ## Show what the tests of each module leave bare; fail below the floor
	@exec $(TEST) python -m tests.own_coverage --numprocesses=2 --dist=loadfile --no-loadscope-reorder $(ARGS)

check: ## Check format, style, types and imports
	@$(DEV) ruff format --check .
	@$(DEV) ruff check .
	@$(DEV) mypy --strict
	@$(DEV) lint-imports
	@test ! -f web/package.json || $(DEV) npm --prefix web run --silent check

bench: ## Measure the gateway beside its peers (ARGS=--quick: under a minute)
	@$(RUN) true
	@$(DEV) python -m benchmarks $(ARGS)

docs: ## Write the documents that follow from the code
	@$(DEV) python -m docs.generate

lock: ## Refresh the locked packages (ARGS=--upgrade: to their newest releases)
	@$(RUN) requirements/lock.sh $(ARGS)

clean: ## Remove all that these commands made, except call data
	rm -rf .venv .venv-* web/node_modules tests/contract/node_modules
	rm -rf tests/e2e/bundlers/node_modules tests/e2e/bundlers/build tests/e2e/bundlers/.parcel-cache
	rm -rf gateway/http/static web/dist build dist
	rm -f gateway/http/openapi.* client/caller_client/operations.py client/caller_client/shapes.py
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find gateway media billing accounts database simulators tests benchmarks web -name __pycache__ -prune -exec rm -rf {} +
