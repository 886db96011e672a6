# Commands for people and CI. Every target installs what it needs into .venv first.
.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-print-directory --no-builtin-rules
SHELL := /bin/sh

# The first that runs (a name on PATH may be a version manager's stub); PYTHON=... chooses another.
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3; do \
  $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$name && break; done)
BIN := .venv/bin
STAMP := .venv/installed
CLIENTS := python sql/python dbt
TYPED := runtime schemas ingest consumers deploy tapline tests

TAPLINE := $(BIN)/python -m tapline

.PHONY: help run demo restart status backup restore move-out url doctor prometheus test test-all test-clients docs check fmt report reconcile replay tail schemas spool wheel release serve image test-image test-compose test-cluster test-pods test-apiserver install-systemd test-systemd test-netns faults faults-erasure faults-production faults-mutants fuzz bench lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 23

run: $(STAMP) ## run the whole pipeline on this machine, until Ctrl-C
	@$(TAPLINE) run --with-parent $(ARGS)

demo: $(STAMP) ## send sample events and query them with SQL
	@$(TAPLINE) demo $(ARGS)

restart: $(STAMP) ## restart ingest of the running stack, refusing no post; ARGS=warehouse or ARGS=live for those
	@$(TAPLINE) restart $(ARGS)

status: $(STAMP) ## show the state of the stack on one screen
	@$(TAPLINE) status

backup: $(STAMP) ## back the running stack up; ARGS="--base NAME" adds only what that backup lacks
	@$(TAPLINE) backup $(ARGS)

restore: $(STAMP) ## restore a backup into an empty data folder; ARGS=data/backups/NAME
	@$(TAPLINE) restore $(ARGS)

move-out: $(STAMP) ## copy the stack's ClickHouse to the server that CLICKHOUSE_URL names, and verify it
	@$(TAPLINE) move-out $(ARGS)

url: $(STAMP) ## print the webhook URL and a mail to Tapcart; ARGS=https://your.host
	@$(TAPLINE) url $(ARGS)

doctor: $(STAMP) ## test a public URL as Tapcart uses it, and suggest fixes; ARGS=URL
	@$(TAPLINE) doctor $(ARGS)

prometheus: $(STAMP) ## watch the stack with Prometheus, if it is installed, until Ctrl-C
	@$(TAPLINE) prometheus $(ARGS)

test: $(STAMP) ## run the tests that every change needs, on the real broker and the real engine
	@$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-all: $(STAMP) ## run all tests, including fault and load tests; about 20 minutes
	@$(BIN)/python -m pytest $(ARGS)

test-clients: $(STAMP) ## test other installed Kafka and ClickHouse clients; ARGS=--all includes the slow ones
	@$(BIN)/python -m tests.clients $(ARGS)

docs: $(STAMP) ## write docs/settings.md, docs/metrics.md and the sources of deploy/dbt from the code
	@$(BIN)/python -m deploy.reference

check: $(STAMP) ## check style, types, layers, schemas, generated docs and references
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict $(TYPED)
	@$(BIN)/lint-imports
	@$(BIN)/python -m schemas check
	@$(BIN)/python -m deploy.reference --check
	@$(BIN)/python -m pytest -q -n 0 -p no:randomly --no-header tests/unit/test_references.py

fmt: $(STAMP) ## format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

report: $(STAMP) ## write a merchant's week as one HTML page with plots; ARGS="--app ID --week DATE --out FILE"
	@$(TAPLINE) report $(ARGS)

reconcile: $(STAMP) ## prove that every Kafka offset has its row, or list what is missing
	@$(TAPLINE) reconcile $(ARGS)

replay: $(STAMP) ## replay quarantined events; ARGS=--untyped fills the columns of new schemas
	@$(TAPLINE) replay $(ARGS)

tail: $(STAMP) ## show events as they arrive; ARGS="--type AddedToCart --since 1h"
	@$(TAPLINE) tail $(ARGS)

schemas: $(STAMP) ## list schemas; ARGS="infer --out proposed", then ARGS="add proposed" for new fields
	@$(TAPLINE) schemas $(or $(ARGS),list)

spool: $(STAMP) ## list the files that ingest keeps on disk; ARGS="show NAME", ARGS="requeue all"
	@$(TAPLINE) spool $(or $(ARGS),list)

wheel: $(STAMP) ## build the package with the command `tapline`, into dist/
	@rm -rf build && SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || echo 0) $(BIN)/uv build --wheel --quiet --offline --no-build-isolation --python $(BIN)/python --out-dir dist

release: $(STAMP) ## write this version's data folder, which the test of upgrades opens from then on
	@$(BIN)/python -m tests.release

test-apiserver: $(STAMP) ## a real kube-apiserver takes the manifests (Go, etcd); builds it once, for minutes
	@$(BIN)/python -m tests.apiserver

install-systemd: wheel ## install or upgrade Tapline as systemd services on this server, as root
	@PYTHON=$(PYTHON) deploy/systemd/install

serve: $(STAMP) ## serve the webhook by HTTPS, with a certificate of its own; HOST=events.example.com
	@$(TAPLINE) serve $(HOST) $(ARGS)

image: wheel ## build the container image localhost/tapline, with buildah, podman or docker
	@for tool in buildah podman docker; do command -v $$tool >/dev/null && break; done; \
	  $$tool build -f deploy/image/Dockerfile -t localhost/tapline --build-arg VERSION=$$($(TAPLINE) --version | cut -d' ' -f2) $(ARGS) .

test-image: wheel ## build the image twice, and run it (Debian, root)
	@$(BIN)/python -m tests.image

test-compose: wheel ## bring up deploy/compose.yaml by podman-compose, and kill each service (Debian, root)
	@$(BIN)/python -m tests.compose

test-cluster: image ## bring up deploy/cluster by Docker, and kill a broker and a replica under load
	@$(BIN)/python -m tests.cluster

test-pods: wheel ## run the pods of deploy/kubernetes by podman kube play (Debian, root)
	@$(BIN)/python -m tests.pods

test-systemd: wheel ## boot the systemd services in a container (Debian, root), and restart them under load
	@$(BIN)/python -m tests.systemd

test-netns: $(STAMP) ## cut the network between three brokers under load, 3 minutes (root)
	@$(BIN)/python -m pytest -n 0 -rs tests/faults/test_network.py $(ARGS)

faults: $(STAMP) ## break every part while events are sent, then check that none is lost
	@$(BIN)/python -m tests.faults.harness $(ARGS)

faults-erasure: $(STAMP) ## erase people under faults, and try everything that could bring them back
	@$(BIN)/python -m tests.faults.erasing $(ARGS)

faults-production: $(STAMP) ## restart all of a production under load, restore it; ARGS="--rate 500 --minutes 30"
	@$(BIN)/python -m tests.faults.production $(ARGS)

faults-mutants: $(STAMP) ## break our own code, and check that `faults` detects it
	@$(BIN)/python -m tests.faults.harness.mutants $(ARGS)

fuzz: $(STAMP) ## attack every port of a separate stack, for minutes; ARGS="--requests 1000000 --rate 2000"
	@$(BIN)/python -m tests.fuzz $(ARGS)

bench: $(STAMP) ## measure Tapline and alternatives, in a quarter of an hour; ARGS="--only receivers" for a part
	@$(BIN)/python -m tests.bench $(ARGS)

lock: $(STAMP) ## pin the requirements again
	@for name in requirements requirements-dev deploy/opentelemetry/requirements $(CLIENTS:%=tests/clients/%/requirements); do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras \
	    --no-emit-find-links --custom-compile-command 'make lock' $(ARGS) -o $$name.txt $$name.in || exit 1; \
	done

clean: ## remove build files, but not the data folder
	@rm -rf build dist *.egg-info .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements-dev.txt
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "make: Python 3.11, 3.12 or 3.13 is needed and not on PATH; set PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: $(PYTHON) has no venv or ensurepip; install them (Debian: apt install python3-venv)," >&2; \
	  echo "make: or set PYTHON=/path/to/another" >&2; exit 1; }
	@echo "installing into .venv with $$("$(PYTHON)" --version), once; it takes a minute or two" >&2
	@rm -f $@
	@"$(PYTHON)" -m venv --clear .venv
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --quiet --no-compile \
	  --require-hashes -r requirements-dev.txt >&2 || { \
	  echo "make: the installation failed (see above); run again to retry" >&2; exit 1; }
	@touch $@
