# `make` lists the targets. Everything that is installed or built is kept outside the clone, in
# $(CACHE), except the Python environment in .venv.
SHELL := /bin/bash
.DEFAULT_GOAL := help

CACHE ?= $(or $(PRORL_CACHE),$(HOME)/.cache/prorl)
UV_VERSION := 0.13.*
UV := $(CACHE)/tools/bin/uv
PYTHON ?= $(firstword $(wildcard /usr/bin/python3.11) $(shell command -v python3))
BIN := .venv/bin
MONITORING := env -u PYTHONPATH PYTHONPATH=charts $(BIN)/python -m monitoring
CHARTDOCS := env -u PYTHONPATH PYTHONPATH=charts $(BIN)/python -m chartdocs
STAMP := .venv/.prorl-synced
TIMES := $(CACHE)/test-times.txt
LAYERS := lint unit contract integration e2e
EXAMPLE ?= examples/quickstart.yaml
say = @printf '\n==> %s\n'

-include mk/*.mk

.PHONY: help env demo test lint generate unit contract integration e2e clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort -u | \
	  awk -F ':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

env: $(STAMP) ## install the locked Python environment into .venv

$(STAMP): pyproject.toml uv.lock | $(UV)
	$(say) "Python environment into .venv (the first time about 3 GB, some minutes)"
	@mk/compiler.sh $(PYTHON)
	@env -u VIRTUAL_ENV UV_PYTHON=$(PYTHON) UV_COMPILE_BYTECODE=1 $(UV) sync --frozen --all-extras --no-extra gpu
	@touch $@

$(UV):
	$(say) "uv $(UV_VERSION) into $(CACHE)/tools"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python >= 3.11 is needed; '$(PYTHON)' is older or missing. Use make PYTHON=PATH."; exit 1; }
	@$(PYTHON) -m venv $(CACHE)/tools || \
	  { echo "'$(PYTHON) -m venv' failed. On Debian: apt-get install python3-venv."; exit 1; }
	@$(CACHE)/tools/bin/pip install --quiet --disable-pip-version-check 'uv==$(UV_VERSION)'

demo: env ## train the quickstart on this machine (SEED=n, EXAMPLE=file)
	$(say) "prorl run $(EXAMPLE)"
	@$(BIN)/prorl run $(EXAMPLE) $(if $(SEED),--seed $(SEED))

lint: env ## ruff, mypy, import directions, generated files
	$(say) "ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	$(say) "mypy"
	@$(BIN)/mypy
	$(say) "import-linter"
	@$(BIN)/lint-imports
	$(say) "generated files"
	@$(BIN)/python -m prorl_api.generate --check
	@$(MONITORING) --check
	@$(CHARTDOCS) --check

generate: env ## write the CRD, its chart copy, docs/api.md, docs/metrics.md, the dashboards and the chart's README
	@$(BIN)/python -m prorl_api.generate
	@$(MONITORING)
	@$(CHARTDOCS)

unit: env ## pure functions, under a minute
	@$(BIN)/pytest -n auto tests/unit

contract: env ## the parts against their documents and libraries
	@$(BIN)/pytest tests/contract

integration: env cluster-deps ## on a real kube-apiserver, Ray and torch
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder tests/integration

e2e: env images ## real jobs on a real node (root)
	@$(BIN)/pytest tests/e2e

test: env ## all layers in order, with the time of each
	@mkdir -p $(CACHE) && : > $(TIMES); failed=; \
	for layer in $(LAYERS); do \
	  printf '\n==> %s\n' "$$layer"; start=$$SECONDS; \
	  if $(MAKE) --no-print-directory $$layer; then verdict=passed; else verdict=FAILED; fi; \
	  printf '%-12s %-7s %5d s\n' "$$layer" "$$verdict" "$$((SECONDS - start))" >> $(TIMES); \
	  if [ $$verdict = FAILED ]; then failed=$$layer; break; fi; \
	done; \
	printf '\nlayer        verdict   time\n'; cat $(TIMES); \
	if [ -n "$$failed" ]; then echo "make test: $$failed failed"; exit 1; fi

clean: ## remove the environment and caches of this clone (runs/ stays)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
