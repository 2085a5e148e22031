"""The pytest plugin, tried by runs of pytest with and without xdist."""

from __future__ import annotations

import glob
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytest_plugins = ["pytester"]

ALONE_AND_WITH_WORKERS = pytest.mark.parametrize("options", [(), ("-n", "2")])


def python(code: str) -> str:
    """Run a program; return what it printed."""
    command = [sys.executable, "-c", code]
    return subprocess.check_output(command, text=True, timeout=60, cwd=ROOT).strip()


@pytest.fixture
def assert_outcomes(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pytest.RunResult]:
    """Return a function that runs tests, and sees to it that nothing is left.

    It asserts that as many of them pass, fail or are skipped as it is told.
    """
    place = pytester.mkdir("tmp")
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", str(place))

    def run(source: str, *options: str, **counts: int) -> pytest.RunResult:
        pytester.makepyfile(source)
        how = pytester.runpytest_inprocess
        if "-n" in options or "sys.modules" in source:
            # Processes with all plugins that there are take their time.
            how = pytester.runpytest_subprocess
            monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
            options = ("-p", "xdist.plugin", "-p", "pytest_fastmmap", *options)
        result = how("-p", "no:cacheprovider", *options)
        result.assert_outcomes(**counts)
        assert glob.glob(f"{place}/fastmmap-pytest-*") == []
        return result

    return run


def lines(folder: Path, name: str) -> list[str]:
    path = folder / name
    return path.read_text().splitlines() if path.exists() else []


def test_importing_the_plugin_imports_nothing_of_the_package() -> None:
    code = "import sys, pytest_fastmmap; print(*sys.modules)"
    loaded = set(python(code).split())
    assert "pytest_fastmmap" in loaded
    assert not {name for name in loaded if name.startswith("fastmmap")}


def test_importing_the_plugin_imports_next_to_nothing_beside_pytest() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import pytest_fastmmap; "
        "print(*sorted(set(sys.modules) - before))"
    )
    assert python(code) == "pytest_fastmmap"


def test_the_plugin_with_too_old_a_pytest_says_so() -> None:
    code = (
        "import pytest; del pytest.StashKey\n"
        "try: import pytest_fastmmap\n"
        "except ImportError as error: print(error)"
    )
    assert "needs pytest 7" in python(code)
    assert "fastmmap[pytest]" in python(code)


def test_a_run_that_asks_for_nothing_imports_and_leaves_nothing(
    assert_outcomes,
) -> None:
    source = """
        import glob, sys, tempfile

        def test_of_somebody_else():
            assert not [m for m in sys.modules if m.split(".")[0] == "fastmmap"]
            assert not glob.glob(tempfile.gettempdir() + "/fastmmap-pytest-*")
    """
    assert_outcomes(source, passed=1)


def test_each_test_gets_an_empty_cache(assert_outcomes) -> None:
    source = """
        import pytest

        @pytest.mark.parametrize("number", range(3))
        def test_empty(fastmmap_cache, number):
            assert len(fastmmap_cache) == 0
            fastmmap_cache["key"] = number
    """
    assert_outcomes(source, passed=3)


def test_sizes_come_from_options_and_settings(
    assert_outcomes, pytester: pytest.Pytester
) -> None:
    pytester.makeini("[pytest]\nfastmmap_cache_size = 2m\nfastmmap_shared_size = 3m\n")
    source = """
        def test_sizes(fastmmap_cache, shared_cache):
            assert fastmmap_cache.cache_size >> 20 == 2
            assert shared_cache.cache_size >> 20 == {}
    """
    assert_outcomes(source.format(3), passed=1)
    assert_outcomes(source.format(5), "--fastmmap-shared-size=5m", passed=1)


def test_the_options_explain_themselves(pytester: pytest.Pytester) -> None:
    shown = pytester.runpytest_subprocess("--help").stdout.str()
    assert "--fastmmap-cache-size" in shown
    assert "fastmmap_shared_size" in shown


@ALONE_AND_WITH_WORKERS
def test_the_shared_cache_is_one_for_all_workers(
    assert_outcomes, options: tuple[str, ...], tmp_path: Path
) -> None:
    source = f"""
        import os, pytest

        @pytest.mark.parametrize("number", range(12))
        def test_count(shared_cache, number):
            count = shared_cache.incr("count")
            with open({str(tmp_path / "counts")!r}, "a") as file:
                print(count, os.getpid(), file=file)
    """
    assert_outcomes(source, *options, passed=12)
    counts = [line.split() for line in lines(tmp_path, "counts")]
    assert sorted(int(count) for count, _ in counts) == list(range(1, 13))
    assert (len({process for _, process in counts}) > 1) == bool(options)


@ALONE_AND_WITH_WORKERS
def test_a_value_is_made_once_for_all_workers(
    assert_outcomes, options: tuple[str, ...], tmp_path: Path
) -> None:
    source = f"""
        import os, pytest, time

        def factory():
            with open({str(tmp_path / "calls")!r}, "a") as file:
                print(os.getpid(), file=file)
            time.sleep(0.5)
            return {{"large": b"x" * 50_000_000, "nothing": None}}

        @pytest.fixture(scope="session")
        def made(once):
            return once("key", factory)

        @pytest.mark.parametrize("number", range(8))
        def test_made(made, once, number):
            assert len(made["large"]) == 50_000_000
            assert made["nothing"] is None
            assert once("other", lambda: None) is None
    """
    assert_outcomes(source, *options, passed=8)
    assert len(lines(tmp_path, "calls")) == 1


@ALONE_AND_WITH_WORKERS
def test_an_error_reaches_every_worker_that_asks(
    assert_outcomes, options: tuple[str, ...], tmp_path: Path
) -> None:
    source = f"""
        import pytest

        def factory():
            with open({str(tmp_path / "calls")!r}, "a") as file:
                print("called", file=file)
            raise LookupError("no such thing")

        @pytest.mark.parametrize("number", range(8))
        def test_error(once, number):
            with pytest.raises(LookupError, match="^no such thing$") as caught:
                once("key", factory)
            assert "in factory" in str(caught.value.__cause__)
    """
    assert_outcomes(source, *options, passed=8)
    assert lines(tmp_path, "calls") == ["called"]


def test_another_worker_takes_over_when_one_crashes_in_the_factory(
    assert_outcomes, tmp_path: Path
) -> None:
    source = f"""
        import os, pytest, signal, time

        def factory():
            with open({str(tmp_path / "calls")!r}, "a") as file:
                print("called", file=file)
            if not os.path.exists({str(tmp_path / "crashed")!r}):
                open({str(tmp_path / "crashed")!r}, "w").close()
                time.sleep(0.5)
                os.kill(os.getpid(), signal.SIGKILL)
            return "made"

        @pytest.mark.parametrize("number", range(8))
        def test_made(once, number):
            assert once("key", factory) == "made"
    """
    result = assert_outcomes(source, "-n", "2", passed=7, failed=1)
    result.stdout.fnmatch_lines(["*worker * crashed while running*"])
    assert lines(tmp_path, "calls") == ["called"] * 2


def test_a_skip_in_the_factory_skips_all_that_ask(assert_outcomes) -> None:
    source = """
        import pytest

        calls = []

        def factory():
            calls.append(1)
            pytest.skip("not on this machine")

        @pytest.mark.parametrize("number", range(3))
        def test_skipped(once, number):
            once("key", factory)

        def test_failed(once):
            with pytest.raises(pytest.fail.Exception, match="^in vain$"):
                once("other", lambda: pytest.fail("in vain"))

        def test_calls():
            assert len(calls) == 1
    """
    result = assert_outcomes(source, "-rs", passed=2, skipped=3)
    result.stdout.fnmatch_lines(["*not on this machine*"])


def test_what_once_refuses(assert_outcomes) -> None:
    source = """
        import pytest

        class Picky(Exception):
            def __init__(self, one, two):
                super().__init__(f"{one} and {two}")

        def test_a_key_that_is_no_text(once):
            with pytest.raises(TypeError, match="must be str, not int"):
                once(1, list)

        def test_a_value_that_does_not_pickle(once):
            for _ in range(2):
                with pytest.raises(TypeError, match="of 'lambda' does not pickle"):
                    once("lambda", lambda: lambda: 1)

        def test_an_error_that_does_not_pickle(once):
            def fail():
                raise Picky("one", "two")

            with pytest.raises(RuntimeError, match="Picky: one and two"):
                once("picky", fail)

        def test_a_factory_that_asks_for_itself(once):
            with pytest.raises(RuntimeError, match="asks for 'self' itself"):
                once("self", lambda: once("self", list))

        def test_a_factory_may_ask_for_another_key(once):
            assert once("a", lambda: once("b", lambda: 1) + 1) == 2

        def test_each_call_returns_a_copy(once):
            once("list", list).append(1)
            assert once("list", list) == []
    """
    assert_outcomes(source, passed=6)


def test_ctrl_c_in_a_factory_is_no_result(assert_outcomes, tmp_path: Path) -> None:
    source = """
        import pytest

        calls = []

        def factory():
            calls.append(1)
            if len(calls) == 1:
                raise KeyboardInterrupt
            return "made"

        def test_interrupted(once):
            with pytest.raises(KeyboardInterrupt):
                once("key", factory)
            assert once("key", factory) == "made"
    """
    assert_outcomes(source, passed=1)


def test_the_plugin_can_be_left_out(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_cache(fastmmap_cache): pass")
    result = pytester.runpytest_subprocess("-p", "no:fastmmap")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'fastmmap_cache' not found*"])


def test_the_directory_of_a_run_is_private(assert_outcomes) -> None:
    source = """
        import os, stat, tempfile

        def test_mode(once):
            (path,) = [
                entry.path for entry in os.scandir(tempfile.gettempdir())
                if entry.name.startswith("fastmmap-pytest-")
            ]
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    """
    assert_outcomes(source, passed=1)


@ALONE_AND_WITH_WORKERS
def test_a_report_says_how_the_shared_cache_was_used(
    assert_outcomes: Callable[..., pytest.RunResult], options: tuple[str, ...]
) -> None:
    source = """
        def test_it(shared_cache):
            shared_cache["key"] = 1
            assert shared_cache.get("key") == 1
            assert shared_cache.get("nothing") is None
    """
    result = assert_outcomes(source, "--fastmmap-report", *options, passed=1)
    result.stdout.fnmatch_lines(["shared_cache: 2 reads, 1 hits (50 %)"])
    result.stdout.fnmatch_lines(["1 values stored, 1 there, 0 evicted"])


def test_a_report_says_that_no_cache_was_used(
    assert_outcomes: Callable[..., pytest.RunResult],
) -> None:
    result = assert_outcomes("def test_it(): pass", "--fastmmap-report", passed=1)
    result.stdout.fnmatch_lines(["shared_cache was not used"])
    result = assert_outcomes("def test_it(): pass", passed=1)
    assert "shared_cache" not in result.stdout.str()
