# The two commands a newcomer needs: `make demo` and `make test`. Everything else is `foveate --help`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check pins clean

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("foveate needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Say: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	command -v uv >/dev/null 2>&1 || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	UV=$$(command -v uv || echo $(BIN)/uv); $$UV pip install --quiet --python $(BIN)/python --group dev --constraint constraints.txt --editable '.[dicom,oct,service]'
	touch $@

demo: $(STAMP)  ## draw retinas, train on them, write a report
	$(BIN)/foveate demo --out demo

test: $(STAMP)  ## the whole suite
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n auto

check: $(STAMP)  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

pins: ## renew constraints.txt
	uv pip compile pyproject.toml --group dev --all-extras --universal --no-header --no-annotate --quiet --output-file constraints.txt

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache
