# Two commands for a fresh machine with Python >= 3.11: `make train` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
NAME ?= ppo_town
CONFIG ?= ppo_town

.PHONY: help train test test-wide test-long fuzz lint format docs bench clean

help:
	@echo "make train      train the quick configuration, evaluate it, draw it (runs/$(NAME))"
	@echo "make test       run the quick tests        make test-wide  whole towns: random play, any batch, other machines"
	@echo "make test-long  run all tests, the long ones too"
	@echo "make fuzz       1,024 towns x 10,000 ticks of random play and edits, of the town and of the whole town (m5)"
	@echo "make lint       format, lint and type checks   make format  mend what can be mended"
	@echo "make bench      throughput of the town and of the learner"

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[viz,notebook,dev]"
	@touch $@

train: $(VENV)/.installed
	@if [ -e runs/$(NAME)/config.yaml ]; then \
	  $(BIN)/python -m train.ppo --resume runs/$(NAME); \
	else \
	  $(BIN)/python -m train.ppo --config $(CONFIG) --name $(NAME); \
	fi
	$(BIN)/python -m train.evaluate --run runs/$(NAME)
	@echo "the picture is runs/$(NAME)/episode.gif, the curve runs/$(NAME)/curve.png"

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 -m "not slow and not wide"

test-wide: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 -m "wide and not slow"

test-long: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2

fuzz: $(VENV)/.installed
	$(BIN)/python -m townlet_jax.testing town m5 --towns 1024 --ticks 10000 --random 20

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.installed
	$(BIN)/python docs/generate.py

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/learner.py

clean:
	rm -rf $(VENV) build dist .jax_cache .pytest_cache .ruff_cache
