# `make demo` and `make test` do everything, on a fresh machine too: they make
# a virtual environment per Python under .venv/ and install what is missing.

PYTHON ?= python3
ENVIRONMENT = $(PYTHON) tools/environment.py

# What docs/reliability.rst tells of, each for as long as you like.
KILLS ?= 20000
MINUTES ?= 10
ORDER_SECONDS ?= 3600
CHANGES ?= 100
SECONDS ?= 60
EXCEPTIONS ?= 100000
ROUNDS ?= 2000
IMAGES ?= 10000
RESULTS = benchmarks/results
BENCH_NEEDS = redis memcached perl-peer php apcu uwsgi uwsgi-python wrk

.PHONY: help demo test test-all test-quick test-c test-python \
    test-all-pythons bench bench-quick format ci clean \
    instructions instructions-check performance \
    storm order soak leaks opening exceptions powercut reentry steps mutants fuzz \
    tier reliability outside wheels release-check report

help:
	@echo "make demo         parse the standard library through one shared cache"
	@echo "make test         C tests, then pytest on the CPython in use; ten minutes"
	@echo "make test-quick   a part of pytest's, in a minute"
	@echo "make test-all     C tests, then pytest on every CPython found"
	@echo "make bench        all benchmarks beside the peers, and what shows them"
	@echo "make bench-quick  the same in two minutes, into build/bench/quick"
	@echo "make instructions count those of each operation; records them"
	@echo "make instructions-check  compare with the record"
	@echo "make storm        kill writers at random; KILLS=20000"
	@echo "make order        write-back under kills, an hour; ORDER_SECONDS=3600"
	@echo "make powercut     images of a file after a power cut; IMAGES=10000"
	@echo "make soak         everything at once; MINUTES=10"
	@echo "make steps        look at memory after each instruction; CHANGES=100"
	@echo "make fuzz         all fuzzers; SECONDS=60 each, or RUNS=10000000"
	@echo "make mutants      break the engine on purpose, see it noticed"
	@echo "make opening      200 processes open, replace, unlink one path"
	@echo "make exceptions   let them come anywhere; EXCEPTIONS=100000 of each kind"
	@echo "make leaks        a million operations, 10,000 opens"
	@echo "make reentry      callbacks and threads on all objects, under ASan; SECONDS"
	@echo "make tier         two hosts in front of Redis; 15 minutes, ROUNDS=2000"
	@echo "make outside      test suites of frameworks on our adapters"
	@echo "make reliability  the tables of the docs from what these recorded"
	@echo "make wheels       all wheels and the sdist, twice and checked, into dist/"
	@echo "make release-check  say what is missing for a release"
	@echo "make report       run all tests on any system; build/report.txt"
	@echo "make format       clang-format and ruff, in place"
	@echo "make ci           all that a change must pass; under an hour"
	@echo "PYTHON=python3.12 picks another Python"

demo:
	@python=$$($(ENVIRONMENT) demo) && "$$python" examples/demo

test: test-c test-python
test-all: test-c test-all-pythons

test-c:
	@$(PYTHON) tools/system.py
	@echo "C tests: building them takes a minute the first time"
	@$(MAKE) --no-print-directory -skj2 -O -C csrc/core test || { \
	    echo "C tests failed, see FAILED or *** above. One of them again:"; \
	    echo "make -C csrc/core run-test_NAME; of replay: replay-fuzz_NAME"; \
	    exit 1; }

test-python:
	@$(PYTHON) tools/run_tests.py

test-all-pythons:
	@$(PYTHON) tools/run_tests.py --pythons all

test-quick:
	@$(PYTHON) tools/run_tests.py --quick

# QUESTIONS="basic tail" answers only those. What cannot be installed is left
# out by name. The last lines write README's table, the docs' and the plots.
bench bench-quick:
	@python=$$($(ENVIRONMENT) demo try:benchmarks/requirements.txt) && \
	    { $(PYTHON) tools/system.py $(BENCH_NEEDS) || true; } && \
	    "$$python" benchmarks/bench.py $(if $(filter %-quick,$@),--quick) \
	        $(QUESTIONS)
	@$(if $(filter %-quick,$@),true,$(MAKE) --no-print-directory performance)

performance:
	@python=$$($(ENVIRONMENT) demo try:benchmarks/requirements.txt) && \
	    "$$python" benchmarks/table.py && "$$python" docs/tables.py && \
	    "$$python" benchmarks/plots.py

instructions instructions-check:
	@python=$$($(ENVIRONMENT)) && $(PYTHON) tools/system.py valgrind && \
	    "$$python" benchmarks/instructions.py $(if $(findstring check,$@),--check)

LONG = storm order soak leaks opening exceptions powercut
$(LONG): PROGRAM = $(wildcard tests/stress/$@ tests/stress/$@.py)
storm: OPTIONS = --kills $(KILLS)
soak: OPTIONS = --minutes $(MINUTES)
order: OPTIONS = --seconds $(ORDER_SECONDS)
exceptions: OPTIONS = --operations $(EXCEPTIONS)
powercut: OPTIONS = --images $(IMAGES)
$(LONG):
	@python=$$($(ENVIRONMENT) test) && "$$python" $(PROGRAM) $(OPTIONS) \
	    --output $(RESULTS)/$@.json

# Broken memory shows for certain only in a build that looks for it.
SANITIZED = build/sanitized
reentry:
	@python=$$($(ENVIRONMENT) test) && \
	    FASTMMAP_SANITIZE=address,undefined FASTMMAP_DEBUG=1 "$$python" setup.py -q \
	        build --build-lib $(SANITIZED)/lib --build-temp $(SANITIZED)/temp && \
	    LD_PRELOAD=$$(gcc -print-file-name=libasan.so) PYTHONMALLOC=malloc \
	    ASAN_OPTIONS=detect_leaks=0:handle_sigbus=0 \
	    UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	    PYTHONPATH=$(SANITIZED)/lib "$$python" tests/stress/reentry.py \
	        --seconds $(SECONDS) --output $(RESULTS)/reentry.json

steps:
	@$(MAKE) --no-print-directory -sj2 -C csrc/core BUILD=$(CURDIR)/build/steps \
	    programs
	@$(PYTHON) tests/c/steps.py build/steps --changes $(CHANGES) \
	    --output $(RESULTS)/steps.json

mutants:
	@$(PYTHON) tools/system.py clang fuzzer
	@$(PYTHON) tests/mutants/run.py --output $(RESULTS)/mutants.json

fuzz:
	@$(PYTHON) tools/system.py clang fuzzer
	@$(MAKE) --no-print-directory -C tests/fuzz run SECONDS=$(SECONDS) \
	    $(if $(RUNS),RUNS=$(RUNS)) OUTPUT=$(CURDIR)/$(RESULTS)/fuzz.json

# The race needs namespaces, as root; where it cannot have them, it says why.
tier:
	@python=$$($(ENVIRONMENT) test) && \
	    { $(PYTHON) tools/system.py redis namespaces || true; } && \
	    "$$python" -m pytest -q tests/tier && \
	    "$$python" tests/tier/race.py --namespaces --faults all --rounds $(ROUNDS) && \
	    "$$python" tests/tier/race.py --cluster --faults all \
	        --rounds $$(( $(ROUNDS) / 10 ))

outside:
	@python=$$($(ENVIRONMENT) all test) && "$$python" tests/outside/run.py

reliability:
	@$(PYTHON) docs/tables.py

wheels:
	@$(PYTHON) tools/system.py arm64-emulator || true
	@python=$$($(ENVIRONMENT) release) && "$$python" tools/wheels.py

release-check:
	@python=$$($(ENVIRONMENT) release) && "$$python" tools/release_check.py

report:
	@$(PYTHON) tools/report.py

format:
	@python=$$($(ENVIRONMENT) dev) && bin=$$(dirname "$$python") && \
	    "$$bin/clang-format" -i csrc/*/*.[ch] tests/c/*.[ch] tests/fuzz/*.[ch] \
	        benchmarks/*.[ch] && \
	    "$$bin/ruff" format && "$$bin/ruff" check --fix

ci:
	@bash .ci/run

clean:
	rm -rf build dist .venv *.egg-info fastmmap/*.so
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
