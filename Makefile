# `make` alone lists what there is. PYTHON names another interpreter: make setup PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
SOURCE ?= files,kafka

.DEFAULT_GOAL := help
.PHONY: help setup check test demo catalogue bench chaos soak scale simulate up test-compose lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Install everything into .venv

$(STAMP): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Backbone needs Python 3.11 or later; name one with: make PYTHON=python3.12" >&2; exit 2; }
	@echo "Installing into $(VENV) ..." >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

check: setup ## Lint, types, import rules, schemas
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/backbone schemas check
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml

test: setup ## Every test, on a real Kafka, never skipping
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -q

demo: setup ## The main job, end to end, on an embedded Kafka (KEEP=1 leaves it up)
	@$(BIN)/backbone demo $(if $(KEEP),--keep)

catalogue: setup ## Build the catalogue of events into build/catalogue
	@$(BIN)/backbone catalogue build build/catalogue

bench: setup ## Measure feeds, subscribers and schemas beside what others do
	@$(BIN)/python -m benchmarks
	@$(BIN)/python -m benchmarks.subscriber
	@$(BIN)/python -m benchmarks.slow_case
	@$(BIN)/python -m benchmarks.schemas

chaos: setup ## Let faults strike workers and brokers, then let an independent checker judge (ROUNDS=60 SEED= SOURCE=files,kafka NODES=1)
	@$(BIN)/python -m tests.chaos --faults $(or $(ROUNDS),60) --source $(SOURCE) --nodes $(or $(NODES),1) $(if $(SEED),--seed $(SEED))

soak: setup ## A worker and a subscriber at full speed under faults for MINUTES, then a backlog (MINUTES=60 SEED= FILES=10000)
	@$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),60) $(if $(SEED),--seed $(SEED))
	@$(BIN)/python -m tests.soak.backlog --files $(or $(FILES),10000)

scale: setup ## How long feeds stand still when workers come and go, and what many feeds cost (RUNS=3)
	@$(BIN)/python -m tests.scale --runs $(or $(RUNS),3)

simulate: setup ## Run the shards on a Kafka in memory, a fault at every turn (SCHEDULES=10000 SEED=0)
	@$(BIN)/python -m tests.simulation --seed $(or $(SEED),0) --schedules $(or $(SCHEDULES),10000)

up: ## Start the compose stack (needs a container engine)
	@docker compose up --build --detach --wait

test-compose: setup ## Prove the compose stack with podman and locally built images (opt-in)
	@bash tests/compose/run.sh

lock: setup ## Write the hashed locks anew
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header pyproject.toml -o requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --extra dev pyproject.toml -o requirements-dev.txt

clean: ## Remove what the targets above made
	@rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
