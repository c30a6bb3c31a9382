# make demo · make test · make check · make clean — all in .venv, made from pyproject.toml when that is newer.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
DEMO_OUT ?= sightline-out/demo
MINUTES ?= 60
THREADS ?= $(shell nproc)

# One thread a process: the tests run side by side, and threads of torch would only wait for each other.
export OMP_NUM_THREADS ?= 1

.PHONY: help install install-dev demo test contract check quality quality-page findings findings-page parity parity-page bench bench-page precision
.PHONY: docs leaderboard format clean

help:
	@echo "make demo      explain a built-in picture with the built-in network; prints the path of the report"
	@echo "make test      run all tests"
	@echo "make contract  hold every method to the contract on every network"
	@echo "make check     format, lint, types, import rules, and all tests"
	@echo "make quality   judge all methods, and other packages', on real photographs for MINUTES=60"
	@echo "make parity    measure all methods beside other packages' on real photographs (installs them)"
	@echo "make findings  try findings of the literature again (sanity checks, orders of methods, ROAD)"
	@echo "make bench     time methods beside other packages' (QUICK=1: some minutes; THREADS=2)"
	@echo "make precision try on real photographs what precision=fast does to the order of maps"
	@echo "make leaderboard  every method on drawn scenes whose evidence is known (hours; QUICK=1: some minutes)"
	@echo "make docs      make the pages and pictures that are made from the code"
	@echo "make format    bring the code into shape"
	@echo "make clean     remove .venv, caches and the demo's report"
	@echo "PYTHON=python3.12 chooses the interpreter (3.11 or later)"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Sightline needs Python 3.11 or later; $(PYTHON) is older: make PYTHON=python3.12 …" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "Installing Sightline and torch into $(VENV): the first time this may take some minutes."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo "Installing Sightline with everything its tests need into $(VENV): the first time this may take some minutes."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(VENV)/.installed $@

install: $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

demo: $(VENV)/.installed
	$(BIN)/sightline explain demo:dog-and-cat --target dog --method occlusion --method integrated-gradients \
	  --method grad-cam --metric deletion --metric insertion --out $(DEMO_OUT)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(WORKERS)

contract: $(VENV)/.installed-dev
	SIGHTLINE_CONTRACT=whole $(BIN)/python -m pytest -n $(WORKERS) tests/contract

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n $(WORKERS)

quality: $(VENV)/.installed-peers
	PYTHONPATH=benchmarks $(BIN)/python -m quality --minutes $(MINUTES) --sheet

quality-page: $(VENV)/.installed-dev
	PYTHONPATH=benchmarks $(BIN)/python -m quality --page

findings: $(VENV)/.installed-dev
	PYTHONPATH=benchmarks $(BIN)/python -W ignore -m findings

findings-page: $(VENV)/.installed-dev
	PYTHONPATH=benchmarks $(BIN)/python -m findings --page

# TorchRay's own dependencies are for its benchmark (a data base, COCO's tools), lxt's for language models, Craft's for
# its drawings; Xplique's are a TensorFlow with CUDA.
$(VENV)/.installed-peers: pyproject.toml $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[peers]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps torchray lxt craft-xai
	@touch $@

build/xplique/.installed: pyproject.toml
	$(PYTHON) -m venv build/xplique
	build/xplique/bin/python -m pip install --quiet --disable-pip-version-check tensorflow-cpu tensorflow-probability \
	  tf-keras dm-tree einops deprecated scikit-learn scikit-image matplotlib opencv-python-headless
	build/xplique/bin/python -m pip install --quiet --disable-pip-version-check --no-deps xplique
	@touch $@

parity: $(VENV)/.installed-peers build/xplique/.installed
	PYTHONPATH=benchmarks $(BIN)/python -W ignore -m parity --workers $(WORKERS)

parity-page: $(VENV)/.installed-dev
	PYTHONPATH=benchmarks $(BIN)/python -m parity --page

# Quantus alone, since what it depends on would bring a second OpenCV.
$(VENV)/.installed-quantus: $(VENV)/.installed-peers
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps quantus
	$(BIN)/python -m pip install --quiet --disable-pip-version-check cachetools pandas
	@touch $@

bench: $(VENV)/.installed-quantus
	OMP_NUM_THREADS=$(THREADS) PYTHONPATH=benchmarks $(BIN)/python -W ignore -m speed --threads $(THREADS) \
	  $(if $(QUICK),--quick) $(if $(FULL),--full)

bench-page: $(VENV)/.installed-dev
	PYTHONPATH=benchmarks $(BIN)/python -m speed --page

precision: $(VENV)/.installed-dev
	PYTHONPATH=benchmarks $(BIN)/python -W ignore -m precision

# Hours, and the same page on every machine but for rounding; asked again after it was broken off, it goes on. The quick
# form takes some minutes on two cores: a test makes parts of it again.
leaderboard: $(VENV)/.installed
ifdef QUICK
	$(BIN)/sightline benchmark --quick --out build/leaderboard
	cp build/leaderboard/leaderboard.json benchmarks/results/leaderboard-quick.json
else
	$(BIN)/sightline benchmark --out benchmarks/results --page docs/leaderboard.md
endif

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/make.py

format: $(VENV)/.installed-dev
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

clean:
	rm -rf $(VENV) $(DEMO_OUT) build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
