# Needs python3 (3.11 or newer), git and a package index; everything else comes from there into .venv and build.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
ENVIRONMENT ?= dev

# Without compiled modules every start of CDK's bridge takes twice as long.
unexport PYTHONDONTWRITEBYTECODE
# What a developer has set for another project must not reach this one's interpreter.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
export UV_PYTHON_DOWNLOADS := never
# A company's own certificate authority is in the system's store; the second name is that of older versions.
export UV_SYSTEM_CERTS := 1
export UV_NATIVE_TLS := 1

UV := $(shell command -v uv 2>/dev/null)
ifeq ($(UV),)
UV := build/uv/bin/uv
UV_FETCHED := $(UV)
endif

.DEFAULT_GOAL := help
.PHONY: help install demo up test test-clients test-spark fuzz check faults bench synth bootstrap deploy diff

help:
	@echo "make demo    a shop's day through the whole system, in about a minute"
	@echo "make up      run locally and stay: collector on port 8080, profile API on 8081, AWS endpoint on 8082"
	@echo "make test    all checks and tests"
	@echo "make test-clients  the SDKs for Node and browsers, in Chromium, and older Python ones; fetches them into build"
	@echo "make fuzz    bodies that a fuzzer thinks of, for FUZZ_S=120 seconds"
	@echo "make test-spark  the Glue job against the plain loop, on a Spark that is installed for it (400 MB)"
	@echo "make check   formatting, types, imports between packages, rules for the stacks"
	@echo "make faults  100,000 random schedules of the river's middle under every fault; SCHEDULES=n for another number"
	@echo "make bench   the benchmarks, each a table"
	@echo "make deploy  the stacks of ENVIRONMENT=dev|staging|prod into your AWS account; diff shows what would change,"
	@echo "             bootstrap prepares an account for CDK, once"
	@echo "make synth   the CloudFormation templates for ENVIRONMENT=dev|staging|prod, with the layers, in cdk.out"

install: $(INSTALLED)

demo: $(INSTALLED)
	@$(BIN)/onefold demo

up: $(INSTALLED)
	@$(BIN)/onefold up

check: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python -m infra.checks

test: check
	$(BIN)/python -m pytest

test-clients: $(INSTALLED)
	$(BIN)/python -m tests.clients.sdk_packages
	ONEFOLD_TEST_CLIENTS=1 $(BIN)/python -m pytest tests/clients --timeout 600

FUZZ_S ?= 120
fuzz: $(INSTALLED)
	$(BIN)/python -m tests.clients.sdk_packages --fuzzer
	$(BIN)/python -m tests.clients.fuzz_bodies $(FUZZ_S)

test-spark: $(INSTALLED)
	@$(UV) pip install --quiet --python $(BIN)/python --group spark
	$(BIN)/python -m pytest tests/spark

SCHEDULES ?= 100000
faults: $(INSTALLED)
	$(BIN)/python -m tests.faults.simulate --schedules $(SCHEDULES)

bench: $(INSTALLED)
	@for program in $$(ls benchmarks/*.py 2>/dev/null | grep -v __init__); do \
		echo; echo "== $$program"; $(BIN)/python $$program || exit 1; \
	done

synth: $(INSTALLED)
	$(BIN)/python app.py -c environment=$(ENVIRONMENT) --output cdk.out

bootstrap deploy diff: CDK = PATH="$$($(BIN)/python -m infra.node_runtime):$$PATH" $(BIN)/cdk

bootstrap: $(INSTALLED)
	$(CDK) bootstrap

deploy: synth
	$(CDK) deploy --all --app cdk.out

diff: synth
	$(CDK) diff --app cdk.out

$(INSTALLED): requirements.lock pyproject.toml $(UV_FETCHED)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "error: $(PYTHON) is not Python 3.11 or newer; name one with make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) .venv
	@echo "installing packages into .venv (once, about a minute)"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock || \
		{ echo "error: packages could not be installed: is the package index reachable?" >&2; exit 1; }
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

# Debian's python3 comes without ensurepip; pip alone can still unpack a wheel into a folder.
build/uv/bin/uv:
	@echo "fetching uv"
	@mkdir -p build
	@{ $(PYTHON) -m venv build/uv 2>/dev/null >&2 && build/uv/bin/python -m pip install --quiet uv; } || \
		{ rm -rf build/uv; $(PYTHON) -m pip install --quiet --target build/uv uv; } || \
		{ echo "error: uv could not be fetched: is the package index reachable? Or install uv from your package manager" >&2; exit 1; }
