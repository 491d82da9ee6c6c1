# Every command of the project. Each works from a fresh clone.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# uv is the one tool that is needed besides Python and make; where it is missing it is installed for this project alone.
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
export UV_FROZEN := 1
# Processes of the tests and the demo start twice as fast with compiled packages.
export UV_COMPILE_BYTECODE := 1
unexport PYTHONDONTWRITEBYTECODE

# The one of `make stack` and `make up`.
PROMETHEUS_URL ?= http://127.0.0.1:$(or $(PROMETHEUS_PORT),9090)

.PHONY: help setup demo test test-stack chaos drill soak bench bench-check bench-prometheus bench-collector stack up down lint format docs dashboards objectives

help:  ## Show the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.uv/bin/uv:
	@python3 -m venv .uv && .uv/bin/pip install --quiet --disable-pip-version-check uv

setup: $(filter .uv/bin/uv,$(UV))
	@$(UV) sync --quiet --inexact --all-extras $(GROUPS)

demo: GROUPS := --no-default-groups --group demo
demo: setup  ## Run the flights pipeline, observed, and show the run (FAIL=node, ERROR=user|system, SLOW=seconds)
	@$(if $(and $(ERROR),$(if $(FAIL),,no)),$(error ERROR=$(ERROR) says how a node fails; say which one with FAIL=delay_model))
	@$(UV) run --no-sync python examples/flights/demo.py \
	  $(if $(FAIL),--fail $(FAIL)) $(if $(ERROR),--error $(ERROR)) $(if $(SLOW),--slow $(SLOW))

test: setup  ## Unit tests and the embedded path; no server, minutes
	$(UV) run --no-sync pytest tests/unit

test-stack: setup  ## Tests against the real servers and with Grafana's own code (needs Node); builds what is missing
	$(UV) run --no-sync python -m stack build
	$(UV) run --no-sync python -m tests.dashboards.packages
	# The drills have yet to show that they never fail by themselves: make drill.
	$(UV) run --no-sync pytest tests/stack tests/dashboards --ignore=tests/stack/test_drills.py

soak: setup  ## A million nodes with every signal on; fails where memory grows; minutes
	@$(UV) run --no-sync python -m benchmarks.soak

bench: GROUPS := --group bench
bench: setup  ## What telemetry costs a node, as ratios, and whether bounds hold; a quarter of an hour
	@$(UV) run --no-sync python -m benchmarks.nodes

bench-check: setup  ## Whether a node still costs what was committed; fails on a clear regression; a minute
	@$(UV) run --no-sync python -m benchmarks.nodes check

bench-prometheus: setup  ## Prometheus with 200 DAGs of 100 nodes: series, memory, time of every query; half an hour
	@$(UV) run --no-sync python -m benchmarks.prometheus

bench-collector: setup  ## How much the Collector takes on one core, and what its settings cost; minutes
	@$(UV) run --no-sync python -m benchmarks.collector

chaos: setup  ## Kill the real servers again and again under load and look whether anything is lost; minutes
	$(UV) run --no-sync python -m stack build
	$(UV) run --no-sync python -m tests.stack.chaos

drill: setup  ## Cause each alert for real, read who is told what, and write docs/alerts.md (SCALE=60); ten minutes
	$(UV) run --no-sync python -m stack build
	$(UV) run --no-sync python -m tests.stack.drills $(SCALE)

stack: setup  ## Run the real servers without Docker (Ctrl-C stops them)
	@$(UV) run --no-sync python -m stack up

up:  ## Run the whole stack in Docker, with dashboards
	@grep -qs '^GRAFANA_PASSWORD=.' .env || test -n "$$GRAFANA_PASSWORD" || \
	  { echo "GRAFANA_PASSWORD is not set; write GRAFANA_PASSWORD=something-long to the file .env."; exit 2; }
	docker compose up --detach --wait

down:  ## Stop the stack in Docker; the data stays
	docker compose down

lint: setup  ## Format, lint, types, configuration
	$(UV) run --no-sync ruff format --check .
	$(UV) run --no-sync ruff check .
	$(UV) run --no-sync mypy

format: setup  ## Apply the formatter and the safe fixes
	$(UV) run --no-sync ruff format .
	$(UV) run --no-sync ruff check --fix .

docs: demo  ## Write the README's tables and picture
	@$(UV) run --no-sync python -m docs.render

dashboards: setup  ## Write grafana/dashboards/*.json from the Python beside them
	@$(UV) run --no-sync python -m grafana.dashboards

objectives: setup  ## Make alerts go by alerting/objectives.yml; also those of a stack that is running
	@$(UV) run --no-sync hamilton-otel objectives compile \
	  $(if $(shell curl -sf -o /dev/null $(PROMETHEUS_URL)/-/ready && echo up),--reload $(PROMETHEUS_URL))
