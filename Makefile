# Start with `make demo` and `make test`. `foveate --help` lists all else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS := $(VENV)/.docs
UV = $$(command -v uv || echo $(BIN)/uv)

OF ?= losses

.PHONY: demo test mutants check docs pins clean

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("foveate needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Run: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	command -v uv >/dev/null 2>&1 || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(UV) pip install --quiet --python $(BIN)/python --group dev --constraint constraints.txt --editable '.[dicom,oct,onnx,openvino,service]'
	touch $@

$(DOCS): $(STAMP)
	$(UV) pip install --quiet --python $(BIN)/python --group docs --constraint constraints.txt
	touch $@

demo: $(STAMP)  ## draw retinas, train on them, write a report
	$(BIN)/foveate demo --out demo

test: $(STAMP)  ## the whole suite
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n auto

mutants: $(STAMP)  ## put faults into one package (OF=losses, metrics or core); lists those that the tests miss
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 nice -n 10 $(BIN)/mutmut run --max-children 1 'foveate.$(OF).*'
	$(BIN)/mutmut results

check: $(STAMP)  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(DOCS)  ## the site, in site/; a warning or a broken link is an error
	PYTHONPATH=.ci $(BIN)/zensical build --strict --clean

pins: ## renew constraints.txt
	$(UV) pip compile pyproject.toml --group dev --group docs --all-extras --universal --no-header --no-annotate --quiet --output-file constraints.txt

clean:
	rm -rf $(VENV) demo site mutants .pytest_cache .mypy_cache .ruff_cache
