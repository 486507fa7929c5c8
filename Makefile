# Every target sets up what it needs; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CACHE := $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/llmkube
TOOLS := $(CACHE)/bin
STAMP := $(VENV)/requirements-$(shell cat requirements/dev.txt downloader/pyproject.toml plugin/pyproject.toml | sha256sum | cut -c1-12)
MUTATION := .venv-mutation
MUTATION_STAMP := $(MUTATION)/requirements-$(shell sha256sum < requirements/mutation.txt | cut -c1-12)
HELMS := HELM=$(TOOLS)/helm HELM3=$(TOOLS)/helm3
# Processes of a whole run. Tests on a cluster wait more than they compute, and every cluster takes memory.
PROCESSES ?= $(shell awk '/^MemTotal/ {print ($$2 > 15000000 ? 3 : 2)}' /proc/meminfo 2>/dev/null || echo 2)
# What has not changed is not checked again, also in another clone: mypy goes by the content of files.
export MYPY_CACHE_DIR := $(CACHE)/mypy
export PYTHONPATH := $(CURDIR)/tests
export PYTHONDONTWRITEBYTECODE :=

##@ Use it

.PHONY: demo
demo: ## Show everything for real: cache, cluster, model, chat (MODEL=hf://... CONTEXT=... optional)
	@$(PYTHON) -m demo plan
	@$(MAKE) venv
	@$(BIN)/python -m demo up

.PHONY: demo-local
demo-local: venv ## Show the cache verbs on a plain directory, without a cluster
	@$(BIN)/python -m demo local

.PHONY: demo-down
demo-down: venv ## Remove what the demo made
	@$(BIN)/python -m demo down

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' Makefile

##@ Test it

.PHONY: test
test: venv tools ## Every test, the ones on the cluster included
	@$(MAKE) --jobs 2 --output-sync=target lint test-chart-lint
	@$(PYTHON) -m preflight tests
	@trap '$(BIN)/python -m cluster sweep' EXIT; $(HELMS) GOGC=400 $(BIN)/python -m pytest -n $(PROCESSES) --no-loadscope-reorder

.PHONY: test-unit
test-unit: tools-chart ## What needs neither a cluster nor anything built or installed: seconds
	@$(HELMS) $(BIN)/python -m pytest -m "not cluster and not slow" --ignore tests/chart

.PHONY: test-chart
test-chart: test-chart-lint ## The chart: chart-testing, helm-unittest, vectors, examples
	@$(HELMS) $(BIN)/python -m pytest tests/chart

.PHONY: test-api
test-api: tools ## The chart before a real API server: dry runs, Pod Security, upgrades between all examples
	@$(HELMS) $(BIN)/python -m pytest tests/apiserver

.PHONY: test-cluster
test-cluster: tools ## What runs on a real cluster (uses the one of cluster-up when it is there)
	@$(PYTHON) -m preflight gitops
	@$(HELMS) $(BIN)/python -m pytest -m cluster

.PHONY: test-gitops
test-gitops: venv ## What Flux and Argo CD do with the chart, both real, on a cluster of their own
	@$(PYTHON) -m preflight cluster
	@$(PYTHON) -m preflight gitops
	@$(BIN)/python -m cluster prepare --tools gitops
	@$(BIN)/python -m pytest tests/gitops

.PHONY: bench
bench: tools-chart ## How fast it is, beside other tools, in one run (the numbers are those of this machine)
	@$(PYTHON) -m preflight bench
	@$(BIN)/python -m bench.warm_start
	@$(BIN)/python -m bench.cold
	@$(BIN)/python -m bench.verify
	@$(HELMS) $(BIN)/python -m bench.rendering
	@$(HELMS) $(BIN)/python -m bench.plugin_start
	@$(PYTHON) -m preflight cluster
	@$(BIN)/python -m bench.listing

.PHONY: mutation
mutation: $(MUTATION_STAMP) ## Change the store in thousands of ways and count which the tests notice: an hour, on all cores
	@$(MUTATION)/bin/python tests/tools/mutation.py

.PHONY: lint
lint: venv ## ruff, mypy, yamllint
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy downloader/src plugin/src
	@$(BIN)/mypy tests
	@MYPYPATH=downloader/tests $(BIN)/mypy downloader/tests
	@MYPYPATH=plugin/tests $(BIN)/mypy plugin/tests
	@$(BIN)/mypy --config-file= --strict conftest.py
	@$(BIN)/yamllint --strict .

##@ Work on it

.PHONY: cluster-up
cluster-up: venv ## Bring up a cluster and keep it: tests then use it (NODES=2: the one for tests of several nodes)
	@$(PYTHON) -m preflight cluster
	@$(BIN)/python -m cluster up $(if $(NODES),nodes --nodes $(NODES))

.PHONY: cluster-down
cluster-down: venv ## Remove it, and what abandoned runs left
	@$(BIN)/python -m cluster down $(if $(NODES),nodes)

.PHONY: cluster-status
cluster-status: venv ## Say which clusters there are
	@$(BIN)/python -m cluster status

.PHONY: cluster-shell
cluster-shell: venv ## A shell with kubectl and helm set up for the cluster
	@$(BIN)/python -m cluster shell

.PHONY: fmt
fmt: venv ## Format the Python files
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

.PHONY: docs
docs: tools-chart ## Regenerate schema, chart README, rendered examples, the table of faults and the plugin's verbs
	@$(BIN)/python tests/tools/values_schema.py charts/llmkube/values.yaml --write
	@$(HELMS) $(BIN)/python tests/tools/render_examples.py
	@$(BIN)/python downloader/tests/all_faults.py
	@$(BIN)/python tests/tools/plugin_completion.py

.PHONY: lock
lock: venv ## Compile the hash-locked requirements anew
	@$(BIN)/python tests/tools/lock.py

.PHONY: plugin-package
plugin-package: venv ## Pack the plugin with all that it needs into dist/, to be installed without a network (ONLY="--python 3.12 ...")
	@$(BIN)/python tests/tools/plugin_package.py $(ONLY)

.PHONY: tools
tools: venv ## Build every tool from source (once; they stay in the cache folder)
	@$(PYTHON) -m preflight cluster
	@$(BIN)/python -m cluster prepare --tools helm
	@$(BIN)/python -m toolchain test --bin $(TOOLS) >/dev/null

.PHONY: tools-chart
tools-chart: venv
	@$(BIN)/python -m toolchain chart --bin $(TOOLS) >/dev/null

.PHONY: test-chart-lint
test-chart-lint: tools-chart
	@PATH="$(TOOLS):$(CURDIR)/$(BIN):$$PATH" ct lint --config ct.yaml --all

.PHONY: venv
venv: $(STAMP) ## Make the development environment in .venv

$(STAMP): requirements/dev.txt downloader/pyproject.toml plugin/pyproject.toml
	@echo "python environment: installing into $(VENV), usually 60 s ..." >&2
	@rm -rf $(VENV)
	@$(PYTHON) -m preflight python
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e downloader -e plugin
	@touch $@

$(MUTATION_STAMP): requirements/mutation.txt
	@echo "python environment for mutation: installing into $(MUTATION), usually 30 s ..." >&2
	@rm -rf $(MUTATION)
	@$(PYTHON) -m preflight python
	@$(PYTHON) -m venv $(MUTATION)
	@$(MUTATION)/bin/python -m pip install --quiet --require-hashes -r requirements/mutation.txt
	@touch $@
