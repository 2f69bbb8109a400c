# `make demo` and `make test` each set up everything on a fresh machine and do their job.
# Another Python: `make test PYTHON=python3.12` (its environment is .venv-3.12). The oldest versions: `make test-oldest`.
works = $(shell for python in $(1); do $$python -c "" 2>/dev/null && command -v $$python && break; done)
PYTHON ?= $(or $(call works,python3.11 python3.12 python3.13 python3),python3)
ifndef VENV
VENV := .venv
ifneq ($(origin PYTHON),file)
VENV := .venv-$(or $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'),none)
endif
endif
BIN = $(VENV)/bin
DOCTESTS = bench/core bench/config bench/metrics bench/input bench/preflight analysis suites/reading
OLDEST = --constraint tests/oldest.txt
TESTS = $(BIN)/python -m pytest -n 2 --dist loadgroup

.PHONY: demo test test-oldest test-with-oldest test-all lint bench report tables docs clean

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "Python 3.11 to 3.13 is needed, this is %d.%d; write make PYTHON=python3.11 ..." % v)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	touch $@

$(VENV)/.installed: $(VENV)/.python pyproject.toml
	$(BIN)/python -m pip install -q -e .
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install -q -e .[dev]
	# Without its dependencies, an old pandas among them, and on Pythons it does not name: the tests of suites/geobench
	# compare our reader of its files with its own.
	$(BIN)/python -m pip install -q --no-deps --ignore-requires-python geobench==1.0.0
	touch $@

$(VENV)/.oldest: $(VENV)/.python pyproject.toml tests/oldest.txt
	$(BIN)/python -m pip install -q -e .[test] $(OLDEST)
	touch $@

demo: $(VENV)/.installed  ## the main job on the embedded suite with the embedded models
	$(BIN)/geobench-run suite=demo models=[tiny_*,tiny_*.random,image_stats,rcf] results=results/local

test: $(VENV)/.dev
	$(TESTS) -m "not heavy and not again"

test-oldest:  ## the tests with the oldest versions that pyproject.toml admits, without the optional packages
	$(MAKE) test-with-oldest VENV=.venv-oldest

test-with-oldest: $(VENV)/.oldest
	$(TESTS) -m "not heavy and not again"

test-all: $(VENV)/.dev  ## with the largest networks run for real, hours
	$(TESTS)

lint: $(VENV)/.dev  ## what CI checks beside the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m pytest -p no:cacheprovider --doctest-modules -o testpaths=. $(DOCTESTS)

bench: $(VENV)/.dev  ## the measured ratios of the README
	$(BIN)/python tests/benchmarks/bench_heads.py
	$(BIN)/python tests/benchmarks/bench_sweep.py
	$(BIN)/python tests/benchmarks/bench_harness.py
	$(BIN)/python tests/benchmarks/bench_models.py
	$(BIN)/python tests/benchmarks/bench_data.py
	$(BIN)/python tests/benchmarks/bench_train.py
	$(BIN)/python tests/benchmarks/bench_distill.py
	$(BIN)/python tests/benchmarks/bench_similarity.py
	$(BIN)/python tests/benchmarks/bench_hooks.py
	$(BIN)/python tests/benchmarks/bench_tokens.py
	$(BIN)/python tests/benchmarks/bench_report.py

report: $(VENV)/.installed  ## tables and figures of results/ again, from the records alone
	$(BIN)/geobench-report

tables: $(VENV)/.installed  ## the generated tables of README files and docs
	$(BIN)/python docs/tables.py

docs: $(VENV)/.installed  ## the documentation as a site in build/site; fails on a dead link
	$(BIN)/python -m pip install -q -e .[docs]
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
