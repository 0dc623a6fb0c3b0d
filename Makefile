# `make run` and `make test` are the whole set-up on a machine with Python 3.11 or newer, git and make.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: run test check bench bench-claude bench-serve bench-cluster format clean

run: .venv/run  ## create .venv, install, start the demo
	$(BIN)/autoresearch-tui demo $(ARGS) || [ $$? -eq 130 ]  # Ctrl-C is how one leaves it

test: .venv/test check  ## create .venv, install, run all checks and tests

check: .venv/test  ## format, lint, types, import contracts, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist worksteal

SEEDS ?= 20

bench: .venv/test  ## print the figures of this machine as tables; the simulated ones take about an hour
	$(BIN)/python -m tests.bench
	$(BIN)/python tests/bench_chart.py
	$(BIN)/python tests/bench_window.py
	$(BIN)/python tests/bench_campaign.py $(SEEDS)
	$(BIN)/python tests/bench_verdicts.py $(SEEDS)
	$(BIN)/python -m tests.compare --surfaces --seeds $(SEEDS)

bench-claude: .venv/test  ## the same for Claude as the researcher, a script in the model's place: time, money, cache
	$(BIN)/python tests/bench_claude.py

bench-serve: .venv/test  ## the same for windows over SSH: 10 and 20 OpenSSH clients on one session
	$(BIN)/python tests/bench_serve.py

bench-cluster: .venv/test  ## the same for Kubernetes; AUTORESEARCH_TEST_KUBECONFIG names a cluster for the real half
	$(BIN)/python tests/bench_cluster.py

format: .venv/test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# An install is repeated when pyproject.toml changes. One pip call, so that extras are resolved together.
.venv/run: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[train]'
	@touch $@

.venv/test: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[train,dev]'
	@touch $@ .venv/run

.venv/bin/python:
	$(PYTHON) -m venv .venv

clean:
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
