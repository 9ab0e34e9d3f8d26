# Needs make and Python >= 3.11 with venv; everything else is locked in requirements/ and lives in .venv.
PYTHON ?= python3
BIN := .venv/bin
# Tests of servers wait for two fifths of their time: three processes keep two cores at work.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) \* 3 / 2)
PYTEST = $(BIN)/pytest -n $(WORKERS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-kafka run pyz check lint test soak-ask soak-kafka bench bench-kafka bench-peers lock lock-upgrade check-lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- environment ---

setup: $(BIN)/strongroom ## Make .venv from the locked requirements (PYTHON=python3.12 chooses another Python)

$(BIN)/strongroom: .venv/.locked pyproject.toml
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.locked: requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "'$(PYTHON)' is not Python 3.11 or newer; name one that is: make setup PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes --only-binary :all: --requirement $<
	@touch $@

# --- use ---

demo: setup ## Show the whole system at work, from an empty directory
	$(BIN)/python -m tests.demo

demo-kafka: setup ## Show records on their way into a real Kafka, through an outage and a kill (needs Java 17 and Maven)
	$(BIN)/python -m tests.demo.relayed

run: setup ## Serve S3 on 127.0.0.1:9000 and audit on 127.0.0.1:9001 from ./data, made on first use
	@test -e data/vault.json || $(BIN)/strongroom init --data data
	$(BIN)/strongroom serve --data data

pyz: setup ## Build strongroom-verify.pyz, the verifier that needs nothing but Python
	@mkdir -p build
	$(BIN)/python -m audit.verify.build build/strongroom-verify.pyz

# --- checks ---

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

check: lint ## Lint, types, import rules, unit tests: under a minute
	$(PYTEST) tests/unit

# Some thousand processes are started; where PYTHONDONTWRITEBYTECODE is set each would compile all of our modules anew.
test: check-lock lint ## Everything but benches and soak
	@$(BIN)/python -m compileall -q audit exporters tests vault
	$(PYTEST)

soak-ask: setup ## Hold answers about 2,000,000 records against the ledger (some 15 minutes, 3 GB; RECORDS=… QUESTIONS=… SEED=…)
	SOAK_RECORDS=$(or $(RECORDS),2000000) SOAK_QUESTIONS=$(or $(QUESTIONS),300) SOAK_SEED=$(or $(SEED),1) \
	  $(BIN)/pytest -s tests/soak/test_asking.py

soak-kafka: setup ## Kill relay, broker and server forty times while a million records come (some 10 minutes; RECORDS=… SEED=…)
	SOAK_RECORDS=$(or $(RECORDS),1000000) SOAK_SEED=$(or $(SEED),1) \
	  $(BIN)/pytest -s -p tests.kafka.conftest tests/soak/test_kafka.py

bench-kafka: setup ## Measure events on their way over HTTP and ledger into a real Kafka (some 30 minutes; needs Java and Maven; BENCH as below)
	$(BIN)/python -m tests.bench --only relay --only relay-puts --only relay-outage --records 6000000 $(BENCH)

bench: setup ## Measure against every goal (some 10 minutes, 15 GB of disk; BENCH=--quick: 2 minutes, BENCH=--help: more)
	$(BIN)/python -m tests.bench $(BENCH)

bench-peers: setup ## Measure the same load on MinIO, in turns (BENCH as above)
	$(BIN)/python -m tests.bench.peers $(BENCH)

# --- locked requirements ---

# $(call compile,DIR): bring DIR/run.txt and DIR/dev.txt up to date with pyproject.toml, keeping the pins they have.
# One universal answer for every Python from 3.11 on, whichever runs it.
define compile
	$(COMPILE) --output-file $(1)/run.txt pyproject.toml
	$(COMPILE) --output-file $(1)/dev.txt --group dev --constraints requirements/run.txt pyproject.toml
endef
COMPILE = $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --only-binary :all: \
  --generate-hashes --annotation-style line --custom-compile-command "make lock"

lock: setup ## Bring requirements/ up to date with pyproject.toml, keeping existing pins
	$(call compile,requirements)

lock-upgrade: COMPILE += --upgrade
lock-upgrade: lock ## The same, moving every pin to its newest release

check-lock: setup
	@rm -rf build/lock && mkdir -p build && cp -R requirements build/lock
	$(call compile,build/lock)
	@diff -r requirements build/lock || { echo "requirements/ is stale: run 'make lock'" >&2; exit 1; }

clean: ## Remove the environment, caches and build output; ./data stays
	rm -rf .venv build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
