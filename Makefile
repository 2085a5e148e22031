# `make demo` and `make test` do everything, on a fresh machine too: they make
# a virtual environment per Python under .venv/ and install what is missing.

PYTHON ?= python3
ENVIRONMENT = $(PYTHON) tools/environment.py

.PHONY: help demo test test-c test-python bench-basic format ci clean

help:
	@echo "make demo         parse the standard library through one shared cache"
	@echo "make test         C tests, then pytest on every CPython found"
	@echo "make bench-basic  measure against the peers; refreshes the README table"
	@echo "make format       clang-format and ruff, in place"
	@echo "make ci           all that a change must pass"
	@echo "PYTHON=python3.12 picks another Python"

demo:
	@python=$$($(ENVIRONMENT) demo) && "$$python" examples/demo

test: test-c test-python

test-c:
	@$(PYTHON) tools/system.py
	@$(MAKE) --no-print-directory -kj2 -O -C csrc/core test

test-python:
	@$(PYTHON) tools/run_tests.py

bench-basic:
	@python=$$($(ENVIRONMENT) benchmarks/requirements.txt) && \
	    $(PYTHON) tools/system.py perl-peer; \
	    "$$python" benchmarks/bench_basic.py

format:
	@python=$$($(ENVIRONMENT) dev) && bin=$$(dirname "$$python") && \
	    "$$bin/clang-format" -i csrc/*/*.[ch] tests/c/*.[ch] && \
	    "$$bin/ruff" format && "$$bin/ruff" check --fix

ci:
	@bash .ci/run

clean:
	rm -rf build dist .venv *.egg-info fastmmap/*.so
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
