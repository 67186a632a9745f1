# The only list of developer commands. `make help` prints it.
#   PYTHON=  the interpreter to use (3.11 or newer); the machine's own by default
#   WORKERS= test processes (one more than there are cores) ARGS=  more arguments for pytest
.DEFAULT_GOAL := help
SHELL := /bin/sh

ifndef PYTHON
PYTHON := $(shell .ci/pythons default)
endif
UV ?= .uv/bin/uv
# One more than cores: half of the suite waits for other processes.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 1)))
DOCS ?= docs
export UV_PYTHON_DOWNLOADS := never
export UV_PYTHON := $(PYTHON)
unexport VIRTUAL_ENV
# Containers often set it. Every process that the suite starts would compile everything again: half of its time.
unexport PYTHONDONTWRITEBYTECODE
# Trust what the machine trusts: a proxy may sign with a certificate of its own.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
export UV_SYSTEM_CERTS ?= 1
endif
# A user without a home of its own (nobody, some containers) keeps the packages here.
ifeq ($(shell test -w "$${HOME:-/nonexistent}" && echo yes),)
export UV_CACHE_DIR := $(CURDIR)/.uv-cache
export PIP_NO_CACHE_DIR := 1
endif

BIN := .venv/bin
bootstrap := $(filter .uv/%,$(UV))

.PHONY: help setup demo test chaos faults bench bench-short recovery examination pooled promise model histories mutations test-pythons format format-check lint types layers architecture public-api docs docs-write \
	wheels validate build constraints clean

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="	" read -r name text; do \
		printf '  make %-14s %s\n' "$$name" "$$text"; done

.uv/bin/uv:
	@.ci/bootstrap "$(PYTHON)"

setup: $(bootstrap) ## Install everything into .venv (brings uv itself)
	@$(UV) sync --all-packages

demo: $(bootstrap) ## Run the main workflow over real documents (TOPIC="..." DOCS=folder)
	@$(UV) run --no-dev agentplat demo $(if $(TOPIC),--topic "$(TOPIC)") --documents "$(DOCS)"

test: setup ## Install, then run the whole suite on SQLite and PostgreSQL
	$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)

chaos: setup ## Break workers, wires and databases, often (RUNS=20 FAULTS=300 RESTARTS=60 SEED=)
	AGENTPLAT_CHAOS_RUNS=$(or $(RUNS),20) AGENTPLAT_CHAOS_FAULTS=$(or $(FAULTS),300) \
		AGENTPLAT_CHAOS_RESTARTS=$(or $(RESTARTS),60) $(if $(SEED),AGENTPLAT_CHAOS_SEED=$(SEED)) \
		$(BIN)/pytest tests/chaos --timeout 3600 $(ARGS)

faults: setup ## Kill, stop and continue worker processes ten thousand times, at random and at every point (PROCESSES=, seven of ten on PostgreSQL, SEED=)
	@$(if $(SEED),export AGENTPLAT_CHAOS_SEED=$(SEED);) tenth=$$(( $(or $(PROCESSES),10000) / 10 )); \
	run() { AGENTPLAT_CHAOS_PROCESSES=$$(( $$1 * tenth )) $(BIN)/pytest tests/chaos/test_process_faults.py --timeout 7200 -k "$$2" $(ARGS); }; \
	run 3 sqlite & run 7 postgresql; ended=$$?; wait $$! && exit $$ended  # at once: while one waits, the other works

bench: setup ## Measure everything beside its peers, and renew the page of results: hours (REPS=, WORKLOADS=, PEERS=)
	$(BIN)/python benchmarks/run.py --reps $(or $(REPS),5) --workloads "$(WORKLOADS)" --peers "$(PEERS)" \
		--json .bench.json $(if $(WORKLOADS)$(PEERS),,--results benchmarks/results/latest.json) $(ARGS)
	$(if $(WORKLOADS)$(PEERS),,@$(MAKE) docs-write)

bench-short: setup ## Let agentplat and the limit run every kind of benchmark once, small: a minute or two; time is only reported
	$(BIN)/python benchmarks/run.py --short --reps 1 --retries 0 --patience 0 $(ARGS)

recovery: setup ## Measure how long tasks stand still when workers die, drain or are blocked: half an hour (TRIALS=, ARGS=)
	$(BIN)/python benchmarks/recovery.py $(if $(TRIALS),--trials $(TRIALS)) $(ARGS)

examination: setup ## Measure how long the doctor takes for a million tasks on each database: some minutes (TASKS=)
	$(BIN)/python benchmarks/examination.py $(if $(TASKS),--tasks $(TASKS)) $(ARGS)

# Left out of it are the suites that have servers of their own, which they restart (test_restarts, test_everything_restarts), and the
# one that cuts the wire (test_wire). `needs_own_sessions` skips single tests, such as those of LISTEN, and says why.
pooled: setup ## Run what works on PostgreSQL, with killed workers and the API, behind a pooler of connections (POOLER=pgbouncer for the real one)
	AGENTPLAT_TEST_POOLER=$(or $(POOLER),unkind) AGENTPLAT_CHAOS_PROCESSES=$(or $(PROCESSES),100) \
		$(BIN)/pytest core/tests/store core/tests/engine doctor/tests tests/acceptance/http tests/chaos \
		$(addprefix --ignore=tests/chaos/test_,restarts.py everything_restarts.py wire.py sqlite_faults.py) \
		-n $(WORKERS) --dist worksteal -k "not sqlite" $(ARGS)

promise: setup ## Run the tests that show one promise of the guarantees (OF=its heading as in a link; without it, which there are)
	@tests=$$($(BIN)/python .ci/promised.py $(OF)) && $(BIN)/pytest $$tests $(ARGS)

model: setup ## Play 1,000 histories of several workers against a model, on each database (HISTORIES=, SEED=, SHRINK=1)
	AGENTPLAT_MODEL_HISTORIES=$(or $(HISTORIES),1000) AGENTPLAT_MODEL_SEED=$(or $(SEED),$(shell date +%s)) \
		$(if $(SHRINK),AGENTPLAT_MODEL_SHRINK=1) $(BIN)/pytest core/tests/store/test_model.py core/tests/store/test_crowd.py $(ARGS)

histories: setup ## Play random histories of random nested workflows of all strategies (COUNT=1000000, SEED=)
	AGENTPLAT_HISTORIES=$(or $(COUNT),1000000) $(if $(SEED),AGENTPLAT_HISTORIES_SEED=$(SEED)) \
		$(BIN)/pytest tests/histories/test_histories.py -n $(WORKERS) --dist worksteal -rA $(ARGS)

documents: setup ## Change good and broken workflow files at random, and see each compile or be refused (DOCUMENTS=10000, SEED=)
	AGENTPLAT_DOCUMENTS=$(or $(DOCUMENTS),10000) $(if $(SEED),AGENTPLAT_DOCUMENTS_SEED=$(SEED)) \
		$(BIN)/pytest core/tests/language/test_mutations.py analysis/tests/test_any_document.py $(ARGS)

mutations: setup ## Put each of many bugs into a copy of the core, and see the suite catch it
	AGENTPLAT_BUGS=all $(BIN)/pytest tests/protocol $(ARGS)

test-pythons: $(bootstrap) ## Run the suite on every Python from 3.11 to 3.13 that this machine has
	@.ci/test-pythons $(UV) $(WORKERS) $(ARGS)

format: setup ## Format the code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix --show-fixes

format-check: setup ## Fail where `make format` would change something
	$(BIN)/ruff format --check

lint: setup ## Check the code's style and known mistakes
	$(BIN)/ruff check

types: setup ## Check the types, strictly
	$(BIN)/mypy core cli analysis doctor testkit migrations workflows templates tests benchmarks plugins/*/src
	@for tests in plugins/*/tests; do \
		if [ -d "$$tests" ]; then \
			echo "mypy $$tests"; \
			(cd "$${tests%/tests}" && ../../$(BIN)/mypy --config-file ../../pyproject.toml \
				--cache-dir ../../.mypy_cache --no-error-summary tests) || exit 1; \
		fi; done

layers: setup ## Check which layer imports which
	$(BIN)/lint-imports --no-logo

architecture: setup ## Run the gates on size, names, purity and imports, and print the core's size
	$(BIN)/pytest tests/architecture $(ARGS)

public-api: setup ## Write down the names that plugin authors build on, after a wanted change
	AGENTPLAT_UPDATE_PUBLIC_API=1 $(BIN)/pytest -q tests/architecture/test_public_api.py

docs: setup ## Check the documentation: links, and code that readers will copy
	$(BIN)/pytest tests/docs $(ARGS)

docs-write: setup ## Write the generated parts of the documentation anew
	AGENTPLAT_WRITE_DOCS=1 $(BIN)/pytest -q tests/docs/test_generated.py

wheels: setup ## Build every wheel and install each into an empty environment
	$(BIN)/pytest tests/wheels tests/acceptance/plugins -m wheels --dist loadfile $(ARGS)

validate: format-check lint types layers test ## What contributors run: format, lint, types, layers, tests

build: $(bootstrap) ## Build the wheels and source archives of all distributions into dist/
	$(UV) build --all-packages --out-dir dist

constraints: setup ## Renew the versions in [tool.uv] of pyproject.toml (UPGRADE=1 for the newest)
	$(BIN)/python .ci/constraints.py $(UV) $(if $(UPGRADE),--upgrade)

clean: ## Remove what these commands made
	rm -rf .venv .venv-* .bench.json .uv .uv-cache dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
