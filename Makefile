# make demo    train, predict and measure on drawn totes, without a window; everything lands in demo/
# make gui     the same project in napari
# make test    lint and all tests
# make help    the rest

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

# The first Python that is new enough; `make PYTHON=/path/to/python` overrules it.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; done)

QT_API ?= pyqt5
PYTEST_QT_API ?= $(QT_API)
NAPARI_ASYNC ?= 0
TEST_WORKERS ?= 2
TESTS = QT_API=$(QT_API) PYTEST_QT_API=$(PYTEST_QT_API) NAPARI_ASYNC=$(NAPARI_ASYNC) OMP_NUM_THREADS=1 \
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile

# napari names the versions of PyQt6 that it works with; two of 6.11 do not dock.
QT6 := $(CURDIR)/$(VENV)/pyqt6
QT6_NEEDS := 'PyQt6>6.5,!=6.11.0,!=6.11.1' 'PyQt6-Qt6>6.5,!=6.11.0,!=6.11.1'

.DEFAULT_GOAL := help
.PHONY: help demo gui test test-qt6 faults fuzz lint format venv system clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

demo: $(READY) ## train, predict and measure on drawn totes; writes demo/
	$(BIN)/rise demo --out demo

gui: $(READY) ## make demo, then open its project in napari
	$(BIN)/rise demo --out demo --gui

test: system $(READY) lint ## lint, then every test: first those of the engine, then those of the window
	$(TESTS) tests --ignore=tests/rise_napari
	$(TESTS) tests/rise_napari

test-qt6: QT_API := pyqt6
test-qt6: PYTEST_QT_API := pyqt6
test-qt6: system $(READY) ## the tests of the window on PyQt6, which is put beside the environment and not into it
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --target $(QT6) --upgrade $(QT6_NEEDS)
	PYTHONPATH=$(QT6) $(TESTS) tests/rise_napari

faults: $(READY) ## a hundred rounds of kill -9 at random moments; half an hour
	OMP_NUM_THREADS=1 RISE_FAULT_ROUNDS=100 $(BIN)/python -m pytest tests/rise_engine/faults

fuzz: $(READY) ## 1,200 broken and malicious inputs; ten minutes
	OMP_NUM_THREADS=1 RISE_FUZZ_CASES=1200 $(BIN)/python -m pytest -s tests/rise_engine/hostile

lint: $(READY) ## ruff check, ruff format --check, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy rise_engine

format: $(READY) ## sort imports and format, in place
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

venv: $(READY) ## make .venv and install everything into it

# pip would compile on one core. What does not compile is torch's file for newer Pythons, hence `true`.
$(READY): pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "rise-napari needs Python 3.11 or newer, and none was found. Install it, or say make PYTHON=/path/to/python." >&2; \
		exit 1; fi
	@.ci/system-packages $(PYTHON) venv
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@echo "Installing rise-napari and what it needs into $(VENV): about 5 GB, some minutes."
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --no-compile -e '.[all,dev]'
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $@

system: ## the system packages that the tests need (installs them as root on Debian and Ubuntu)
	@if [ -n "$(PYTHON)" ]; then .ci/system-packages $(PYTHON) window; fi

clean: ## what was built and cached; the environment stays
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find rise_engine rise_napari tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
