# One command per chore; `make` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROJECTS := pyproject.toml $(wildcard toolkits/*/pyproject.toml)
TOOLKITS := $(patsubst %/pyproject.toml,-e %,$(wildcard toolkits/*/pyproject.toml))
ENVIRONMENT := $(PYTHON) .ci/environment.py $(VENV)

# Programs under test see the environment, and nothing else, as Python's packages.
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help demo test test-transformers test-long check types lint imports docs format clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-20s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.demo ## Answer a question with the embedded model in the embedded sandbox
	@$(BIN)/codeact-tools model fetch > /dev/null
	@$(BIN)/codeact-tools demo

test: $(VENV)/.dev ## Run the tests, those that ask the embedded model included
	@$(BIN)/codeact-tools model fetch > /dev/null
	@$(BIN)/python -m pytest $(ARGS)

test-transformers: $(VENV)/.transformers ## Run the tests that load a model with transformers on the CPU (1 GB more)
	@$(BIN)/python -m pytest -m transformers $(ARGS)

test-long: $(VENV)/.dev ## Run the tests in which the embedded model answers questions with each toolkit (20 minutes)
	@$(BIN)/codeact-tools model fetch > /dev/null
	@$(BIN)/python -m pytest -m long $(ARGS)

check: types lint imports docs ## Check types, style, the import contract and the docs

types: $(VENV)/.dev ## Check the types of sources, toolkits and tests
	$(BIN)/mypy

lint: $(VENV)/.dev ## Check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

imports: $(VENV)/.dev ## Check that modules import only from the layers below them
	$(BIN)/lint-imports --no-cache

docs: $(VENV)/.dev ## Build the docs into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: $(VENV)/.dev ## Put imports and layout right
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## Remove the virtual environment and what was built (downloaded weights stay in the user's cache)
	rm -rf $(VENV) site build dist toolkits/*/dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# The environment is made once, and again where a project file changes. What `make test` needs includes what the demo does.
$(VENV)/.demo: $(PROJECTS) .ci/environment.py
	@$(ENVIRONMENT) -e '.[check,embedded]' $(TOOLKITS)
	@touch $@

$(VENV)/.dev: $(PROJECTS) .ci/environment.py
	@$(ENVIRONMENT) --group dev -e '.[check,docs,e2b-test,embedded,endpoint]' $(TOOLKITS)
	@touch $(VENV)/.demo $@

# The build for CPUs comes first: the ordinary one brings gigabytes of CUDA.
$(VENV)/.transformers: $(VENV)/.dev
	@$(ENVIRONMENT) 'torch==2.13.0'
	@$(ENVIRONMENT) -e '.[transformers]' gguf 'transformers[serving]'
	@touch $@
