# make setup   packages into .venv          make run    the studio on http://127.0.0.1:7860
# Everything below is for people who work on it. ARGS="..." goes on to the command behind a target.

PYTHON ?= python3
REQUIREMENTS ?= requirements.txt requirements-dev.txt
ARGS ?=
# Test files at a time, in the order that tests/conftest.py gives them: one more than the two cores that are meant, for a
# test that drives a browser waits as often as it computes.
JOBS ?= 3

VENV := .venv
PY := $(VENV)/bin/python
UV := $(PY) -m uv pip
# The mark's name is the hash of what was asked for: nothing to do while it stands, whatever the clocks of the files say.
INSTALLED := $(VENV)/installed-$(shell cat $(REQUIREMENTS) requirements.lock | sha256sum | cut -c 1-16)

# Tests on real pictures run where a folder of them lies beside this one; elsewhere they say that they were skipped.
export FLAWSMITH_TEST_DATA ?= $(abspath $(wildcard ../shared/data))

.PHONY: help setup run test test-long check format bench lock clean

help:
	@echo "make setup | run | test | test-long | check | format | bench | lock | clean     (ARGS=\"...\" is passed on)"

setup: $(INSTALLED)

# pip brings uv, uv brings the rest: seconds instead of minutes, from the same indexes.
$(VENV)/bin/uv:
	@$(PYTHON) -c 'import sys; v = sys.version_info; (3, 11) <= v < (3, 15) or sys.exit(f"Flawsmith runs on Python 3.11 to 3.14; $(PYTHON) is {v[0]}.{v[1]}. Name another: make setup PYTHON=python3.12")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) comes without venv. On Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint requirements.lock uv

# opencv-python and opencv-python-headless share the folder cv2/. The headless one is laid last, every time: it needs no libGL.
# Bytecode is made here, once and on all cores: a process that has to compile torch and diffusers starts 20 s later.
$(INSTALLED): | $(VENV)/bin/uv
	$(UV) install --python $(PY) $(REQUIREMENTS:%=--requirement %) --constraint requirements.lock --compile-bytecode
	$(UV) install --python $(PY) --no-deps --reinstall-package opencv-python-headless --constraint requirements.lock --compile-bytecode opencv-python-headless
	@$(PY) -c 'import sys, cv2; cv2.version.headless or sys.exit("cv2 is not the headless build: make clean setup")'
	@rm -f $(VENV)/installed-* && touch $@

run: setup
	$(PY) app.py $(ARGS)

test: setup
	$(PY) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: setup
	$(PY) -m pytest -m long --timeout 3600 $(ARGS)

check: setup
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy

format: setup
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

bench: setup
	$(PY) -m bench run --suite cpu $(ARGS)

# Pins what requirements*.txt leave open, for every Python from 3.11 on; keeps the pins it has unless ARGS=--upgrade.
lock: $(VENV)/bin/uv
	$(UV) compile --quiet --universal --fork-strategy fewest --python-version 3.11 --no-header --no-annotate \
		--output-file requirements.lock $(ARGS) requirements.txt requirements-dev.txt
	@sed -i -e 's/ ;.*//' -e '1i # Every package, pinned; made by `make lock`, used as constraints by `make setup`. Do not edit.' requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis bench/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
