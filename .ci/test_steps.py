"""The steps of the continuous integration, each one a test.

Two workers run them side by side. Steps of one group follow each other: those
that keep all CPUs busy by themselves, and those that write to one place.
"""

# ruff: noqa: D103  (the names of tests are sentences)
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
BIN = Path(sys.executable).parent
COMPILERS = ["gcc", "clang"]
# Programs of the same name are no modules of one another.
TYPED = [
    ("fastmmap", "pytest_fastmmap.py", "tools", "examples", "benchmarks"),
    ("tests/fuzz",),
    ("tests/sources.py", "tests/mutants"),
    ("docs/tables.py", "docs/performance.py", "docs/targets.py", "docs/draw.py"),
    ("tools", "tests/outside/run.py", "tests/outside/suites.py"),
]
#: What zig compiles the core for, besides this machine. None of it is run.
OTHER_SYSTEMS = [
    "x86_64-macos",
    "aarch64-macos",
    "x86_64-freebsd",
    "x86_64-linux-musl",
    "s390x-linux-gnu",
]
ZIG = f"{sys.executable} -m ziglang cc"
FUZZ_SECONDS = 40
WORKERS = ("-n", "4", "--dist", "worksteal")
# The allocator of gcc 12's sanitizer keeps its locks locked in a child that was
# forked among threads: about one run of this in forty hangs in malloc().
UNSAFE_UNDER_ASAN = (
    "tests/stress/test_storm.py::test_writers_killed_at_random_break_no_promise[forks]"
)
#: Here the sanitizer would see nothing of our C that it does not see elsewhere.
NOTHING_FOR_ASAN = {
    "tests/model": "a model of the memory order in Python, without the engine",
    "tests/command": "programs in Python, which call what others call",
    "tests/contrib": "adapters in Python, which call what others call",
    "tests/hazards/test_gevent.py": "greenlets copy stacks, which it takes for errors",
    "tests/hazards/test_opening.py": "tests/c/test_file_race.c under sanitizers",
    "tests/hazards/test_other_clocks.py": "clocks of Python; ours are read in C",
    "tests/tier": "a tier in Python, beside a server of others",
    "tests/web": "a page in Python and JavaScript, in a browser of others",
    "tests/hazards/test_verifying.py": "a million entries: tests/c/test_verify.c",
    "tests/parity/test_parity_hit_rates.py": "what stays: tests/c/test_evict.c",
    "tests/unit/test_advice.py": "what stays: tests/c/test_grow.c, test_stats.c",
    "tests/unit/test_argument_keys.py": "spellings in Python",
    "tests/unit/test_benchmarks.py": "programs of benchmarks and their tables",
    "tests/unit/test_demo.py": "programs of users, who call what others call",
    "tests/unit/test_docs.py": "texts, and the programs in them",
    "tests/unit/test_full_cache.py": "what stays: tests/c/test_evict.c, test_hand.c",
    "tests/unit/test_instructions.py": "figures of valgrind",
    "tests/unit/test_layers.py": "texts",
    "tests/unit/test_many_groups.py": "what stays: tests/c/test_groups.c",
    "tests/unit/test_mutants.py": "texts",
    "tests/unit/test_readme.py": "texts",
}
#: Those that keep all CPUs busy; one follows the other.
wide = pytest.mark.xdist_group("wide")
MINUTES = 60
#: So long may a step hang before it has failed.
STEP_LIMIT = 20 * MINUTES


def run(
    *command: object, cwd: Path = ROOT, limit: int = STEP_LIMIT, **variables: str
) -> None:
    """Run a command with further environment variables; fail if it fails."""
    words = [str(word) for word in command]
    print("\n$", *words, flush=True)
    environment = {**os.environ, **variables}
    environment.pop("PYTEST_XDIST_WORKER", None)  # inner runs have theirs
    done = subprocess.run(words, check=False, cwd=cwd, env=environment, timeout=limit)
    assert done.returncode == 0, f"exit status {done.returncode}: {' '.join(words)}"


def output(*command: str) -> str:
    """Return what a command prints, without the line end."""
    return subprocess.check_output(command, text=True).strip()


def library(name: str) -> str:
    """Return the path of a library of the compiler."""
    return output("gcc", f"-print-file-name={name}")


def copy_of_checkout(name: str) -> Path:
    """Return a fresh copy of the sources, where nothing is built yet."""
    target = BUILD / name
    shutil.rmtree(target, ignore_errors=True)
    unwanted = shutil.ignore_patterns(
        *(".git", ".venv", "build", "*.so", "*.egg-info", "crashes"),
        *("__pycache__", ".*_cache", ".hypothesis"),
    )
    shutil.copytree(ROOT, target, ignore=unwanted)
    return target


@wide
def test_make_test() -> None:
    python = os.environ.get("PYTHON", "python3")
    run("make", "test", f"PYTHON={python}", limit=25 * MINUTES)


@wide
def test_other_pythons_pass_the_quick_part() -> None:
    python = os.environ.get("PYTHON", "python3")
    command = [python, "tools/run_tests.py", "--pythons=others", "--quick"]
    run(*command, limit=30 * MINUTES, CC="clang")  # which builds faster than gcc


def test_c_is_formatted() -> None:
    folders = ["csrc/*", "tests/c", "tests/fuzz", "benchmarks"]
    files = [file for folder in folders for file in ROOT.glob(f"{folder}/*.[ch]")]
    run(BIN / "clang-format", "--dry-run", "-Werror", *files)


def test_python_is_formatted() -> None:
    run(BIN / "ruff", "format", "--check", ".", ".ci")


def test_python_has_no_lint() -> None:
    run(BIN / "ruff", "check", ".", ".ci")


@pytest.mark.parametrize("compiler", COMPILERS)
def test_core_has_no_warnings(compiler: str) -> None:
    what = [f"CC={compiler}", "WERROR=1", "all", "programs"]
    run("make", "-sj2", "-C", "csrc/core", *what)


@pytest.mark.parametrize("system", OTHER_SYSTEMS)
def test_core_has_no_warnings_on_other_systems(system: str) -> None:
    compiler = [f"CC={ZIG} -target {system}", "WERROR=1", "CFLAGS=-O0"]
    place = f"BUILD={BUILD / 'core' / system}"
    run("make", "-sj2", "-C", "csrc/core", *compiler, place, "all")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("-target x86-linux-gnu", "needs a 64-bit system"),
        ("-U__BYTE_ORDER__ -D__BYTE_ORDER__=3412", "knows two byte orders"),
    ],
)
def test_other_machines_are_refused_with_a_sentence(flags: str, said: str) -> None:
    command = f"{ZIG} {flags} -c -o {os.devnull} csrc/core/fmm_header.c".split()
    done = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert f"fastmmap {said}" in done.stderr


@pytest.mark.parametrize("compiler", COMPILERS)
def test_binding_has_no_warnings(compiler: str) -> None:
    target = BUILD / f"werror-{compiler}"
    places = ["--build-lib", target / "lib", "--build-temp", target / "temp"]
    command = [sys.executable, "setup.py", "build_ext", "--force", *places]
    run(*command, CC=compiler, FASTMMAP_WERROR="1")


@pytest.mark.parametrize("places", TYPED, ids=" ".join)
def test_types_are_strict(places: tuple[str, ...]) -> None:
    run(BIN / "mypy", "--strict", *places)


def test_stubs_match() -> None:
    run(BIN / "stubtest", "--mypy-config-file", "pyproject.toml", "fastmmap")


def test_stepping_and_killing_for_longer_break_nothing() -> None:
    names = [f"run-test_{name}" for name in ("read_order", "crash_takeover")]
    what = ["WERROR=1", "LONG=1", f"BUILD={BUILD / 'core' / 'long'}"]
    run("make", "-sj2", "-C", "csrc/core", *what, *names, "run-test_kill_storm")


@wide
def test_c_tests_under_sanitizers() -> None:
    variant = ["SANITIZE=address,undefined", "CFLAGS=-O1 -g"]
    run("make", "-sj2", "-O", "-C", "csrc/core", *variant, "test")


def test_core_has_no_data_races() -> None:
    variant = ["SANITIZE=thread", f"BUILD={BUILD / 'core' / 'tsan'}"]
    flags = "CFLAGS=-O1 -g -Wno-tsan"  # gcc: it does not see fences
    run(
        *("make", "-sj2", "-C", "csrc/core", *variant, flags),
        *("run-test_threads", "run-test_guard"),
    )


@pytest.mark.xdist_group("fuzz")
@pytest.mark.parametrize("target", ["page", "file", "ops", "race"])
def test_fuzzers_find_nothing(target: str) -> None:
    limits = [f"SECONDS={FUZZ_SECONDS}", f"TARGETS={target}"]
    run("make", "-sj2", "-C", "tests/fuzz", f"PYTHON={sys.executable}", *limits, "run")


@pytest.mark.parametrize(
    "program",
    [
        ("tests/stress/storm", "--kills", "1200"),
        ("tests/stress/soak.py", "--minutes", "0.33"),
        ("tests/stress/leaks.py",),
        ("tests/stress/opening.py",),
    ],
    ids=["storm", "soak", "leaks", "opening"],
)
def test_long_programs_in_their_short_form(program: tuple[str, ...]) -> None:
    run(sys.executable, *program)


@wide
def test_what_is_random_or_has_many_cases_holds_for_longer() -> None:
    report = f"--junitxml={BUILD / 'reports' / 'long.xml'}"
    forms = {"FASTMMAP_LONG": "5", "HYPOTHESIS_PROFILE": "ci"}
    run(sys.executable, "-m", "pytest", *WORKERS, "-m", "long", report, **forms)


@wide
def test_suites_of_frameworks_pass_on_our_adapters() -> None:
    run(sys.executable, "tests/outside/run.py")


def test_core_works_on_arm64() -> None:
    machine = ["CC=aarch64-linux-gnu-gcc", "CFLAGS=-O2 -static"]
    run(
        "make", "-sj2", "-C", "csrc/core", *machine, "RUNNER=qemu-aarch64", "test-alone"
    )


def test_nothing_depends_on_the_repair_after_a_death() -> None:
    run(sys.executable, "tests/mutants/run.py", "--harmless")


def test_an_engine_that_is_broken_on_purpose_is_noticed() -> None:
    run(sys.executable, "tests/mutants/run.py", "--quick")


@wide
def test_python_tests_under_address_sanitizer() -> None:
    copy = copy_of_checkout("asan")
    sanitize = {"FASTMMAP_SANITIZE": "address,undefined", "FASTMMAP_DEBUG": "1"}
    run(sys.executable, "setup.py", "build_ext", "--inplace", cwd=copy, **sanitize)
    report = f"--junitxml={BUILD / 'reports' / 'asan.xml'}"
    assert all((copy / path).exists() for path in NOTHING_FOR_ASAN)
    run(
        *(sys.executable, "-m", "pytest", *WORKERS, report),
        # Servers bring C of their own, and greenlets change stacks.
        *("-m", "not once", "--deselect", UNSAFE_UNDER_ASAN),
        *(f"--ignore={path}" for path in NOTHING_FOR_ASAN),
        cwd=copy,
        limit=30 * MINUTES,
        # C++ extensions (matplotlib) throw: the sanitizer must find how.
        LD_PRELOAD=" ".join(map(library, ["libasan.so", "libstdc++.so"])),
        # Python itself leaks at exit; and what is a SIGBUS shall stay one.
        ASAN_OPTIONS="detect_leaks=0:handle_sigbus=0",
        UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
        PYTHONMALLOC="malloc",
        PYTHONPATH=str(copy),
    )


def test_no_operation_takes_many_more_instructions() -> None:
    run(sys.executable, "tools/system.py", "valgrind")
    run(sys.executable, "benchmarks/instructions.py", "--check")


def test_every_benchmark_runs() -> None:
    place = f"BUILD={BUILD / 'bench-werror'}"
    run("make", "-sj2", "-C", "benchmarks", "WERROR=1", place)
    run(sys.executable, "benchmarks/bench.py", "--smoke")


def test_docs_build_without_warnings() -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-E", "-b", "html"]
    run(*command, "docs", BUILD / "docs")


@pytest.mark.xdist_group("wheels")
def test_sdist_and_a_wheel_of_each_kind_are_sound() -> None:
    target = BUILD / "dist"
    run(sys.executable, "tools/wheels.py", "--quick", "--output", target)


@pytest.mark.xdist_group("wheels")
def test_the_wheel_for_arm64_passes_a_part_of_the_suite() -> None:
    wheels = list((BUILD / "dist").glob("*aarch64.whl"))
    assert len(wheels) == 1, "the step before has left no wheel"
    run(sys.executable, "tools/arm64.py", *wheels)


def test_workflows_follow_their_schema() -> None:
    files = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    schema = ["--builtin-schema", "vendor.github-workflows"]
    run(BIN / "check-jsonschema", *schema, *files)


def test_cibuildwheel_builds_for_each_python_of_the_classifiers() -> None:
    command = [str(BIN / "cibuildwheel"), "--print-build-identifiers"]
    shown = output(*command, "--platform=linux", "--archs=x86_64,aarch64", str(ROOT))
    classifiers = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    minors = re.findall(r"Python :: 3\.(\d+)", classifiers)
    systems = ["manylinux_x86_64", "manylinux_aarch64", "musllinux_x86_64"]
    wanted = {f"cp3{minor}-{system}" for minor in minors for system in systems}
    assert set(shown.split()) == wanted
