# `make demo` and `make test` each set up everything on a fresh machine and do their job.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test test-all lint bench report tables docs clean

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "Python 3.11 to 3.13 is needed, this is %d.%d; say make PYTHON=python3.11 ..." % v)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -e .
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install -q -e .[dev]
	# It pins an old pandas; the tests hold our reader of its files against its own.
	$(BIN)/python -m pip install -q --no-deps geobench==1.0.0
	touch $@

demo: $(VENV)/.installed  ## the main job on the embedded suite with the embedded models
	$(BIN)/geobench-run suite=demo models=[tiny_*,tiny_*.random,image_stats,rcf] results=results/local

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not heavy and not again"

test-all: $(VENV)/.dev  ## with the largest networks run for real, hours
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: $(VENV)/.dev  ## what CI checks beside the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev  ## the measured ratios of the README
	$(BIN)/python tests/benchmarks/bench_heads.py
	$(BIN)/python tests/benchmarks/bench_sweep.py
	$(BIN)/python tests/benchmarks/bench_harness.py
	$(BIN)/python tests/benchmarks/bench_models.py
	$(BIN)/python tests/benchmarks/bench_data.py
	$(BIN)/python tests/benchmarks/bench_train.py
	$(BIN)/python tests/benchmarks/bench_similarity.py
	$(BIN)/python tests/benchmarks/bench_hooks.py
	$(BIN)/python tests/benchmarks/bench_report.py

report: $(VENV)/.installed  ## tables and figures of results/ again, from the records alone
	$(BIN)/geobench-report

tables: $(VENV)/.installed  ## the generated tables of README files and docs
	$(BIN)/python -m bench.cli.markdown

docs: $(VENV)/.installed  ## the documentation as a site in build/site; fails on a dead link
	$(BIN)/python -m pip install -q -e .[docs]
	$(BIN)/python -m mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
