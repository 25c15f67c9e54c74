# The few verbs a person wants. Each sets up what it needs in .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test fuzz lint bench clean

demo: $(VENV)/.installed
	$(BIN)/mismartera demo

test: lint
	$(BIN)/python -m pytest -q -n auto

# Hours: FUZZ_EXAMPLES=500 make fuzz takes less. A failure prints how to repeat it.
fuzz: $(VENV)/.installed
	$(BIN)/python -m pytest -q -n auto -m law --hypothesis-profile=fuzz

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

bench: $(VENV)/.installed
	$(BIN)/python -m bench

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
