"""A cache that was opened by name and never closed: a ResourceWarning."""

from __future__ import annotations

import gc
import os
import pickle
import warnings
from typing import Any

import pytest
from support import run_program

from fastmmap import FastMmap, FormatError

# Programs see all warnings; what they leave at the end is on stderr.
BEGIN = """
import gc, multiprocessing, os, pickle, sys, warnings
from fastmmap import FastMmap
warnings.simplefilter("always")
path = sys.argv[1]
"""


def make(path: str | None, **options: Any) -> FastMmap:
    return FastMmap(path, cache_size="512k", **options)


@pytest.fixture
def asserts_no_warning() -> Any:
    """Assert that the test gives no ResourceWarning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(w.message) for w in caught if w.category is ResourceWarning] == []


@pytest.mark.quick
def test_a_forgotten_cache_is_warned_about(path: str) -> None:
    cache = make(path)
    with pytest.warns(ResourceWarning, match=rf"unclosed cache <FastMmap '{path}'"):
        del cache


def test_the_warning_is_about_the_line_that_forgot_it(path: str) -> None:
    cache = make(path)
    with pytest.warns(ResourceWarning) as caught:
        del cache
    assert caught[0].filename == __file__
    assert isinstance(caught[0].source, FastMmap)


def test_a_forgotten_cycle_is_warned_about(path: str) -> None:
    holder: dict[str, Any] = {}
    holder["cache"] = make(path, context=holder)
    del holder
    with pytest.warns(ResourceWarning, match="unclosed cache"):
        gc.collect()


def test_a_forgotten_cache_of_a_subclass_is_warned_about(path: str) -> None:
    class Mine(FastMmap):
        pass

    cache = Mine(path, cache_size="512k")
    with pytest.warns(ResourceWarning, match="unclosed cache <Mine"):
        del cache


def test_a_warning_that_is_an_error_does_not_keep_the_file(path: str) -> None:
    program = """
warnings.simplefilter("error")
cache = FastMmap(path, cache_size="512k", unlink_on_exit=True)
del cache
assert not os.path.exists(path)
"""
    done = run_program(BEGIN + program, path)
    assert done.returncode == 0, done.stderr
    assert "ResourceWarning: unclosed cache" in done.stderr


def test_a_closed_cache_is_none(path: str, asserts_no_warning: None) -> None:
    make(path).close()
    with make(path) as cache:
        cache["key"] = 1
    del cache


def test_a_private_cache_is_none(asserts_no_warning: None) -> None:
    make(None)["key"] = 1


def test_a_failed_open_is_none(path: str, asserts_no_warning: None) -> None:
    with open(path, "wb") as file:
        file.write(b"no cache" * 1000)
    with pytest.raises(FormatError):
        make(path)
    with pytest.raises(TypeError):
        FastMmap(path, no_such_option=1)  # type: ignore[call-arg]  # on purpose


def test_a_pickled_copy_is_none(path: str, asserts_no_warning: None) -> None:
    with make(path) as cache:
        copy = pickle.loads(pickle.dumps(cache))
        again = pickle.loads(pickle.dumps(copy))
        del copy, again


def test_the_default_is_silence(path: str) -> None:
    done = run_program(
        "import sys; from fastmmap import FastMmap; FastMmap(sys.argv[1])", path
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_open_when_the_interpreter_ends_is_none(path: str) -> None:
    program = """
kept = FastMmap(path, cache_size="512k")
cycle = [FastMmap(path, unlink_on_exit=False)]
cycle.append(cycle)
"""
    done = run_program(BEGIN + program, path)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_forked_child_forgets_is_none(path: str) -> None:
    program = """
kept = FastMmap(path, cache_size="512k")
if os.fork() == 0:
    del kept
    gc.collect()
    sys.exit()
os.wait()
kept["key"] = 1
kept.close()
"""
    done = run_program(BEGIN + program, path)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_child_itself_opened_and_forgot_is_one(path: str) -> None:
    program = """
if os.fork() == 0:
    FastMmap(path, cache_size="512k")
    sys.exit()
os.wait()
"""
    done = run_program(BEGIN + program, path)
    assert done.returncode == 0
    assert done.stderr.count("ResourceWarning: unclosed cache") == 1


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_cache_that_a_process_was_given_is_none(path: str, method: str) -> None:
    program = f"""
def work(cache):
    warnings.simplefilter("always")
    cache["key"] = 1

if __name__ == "__main__":
    with FastMmap(path, cache_size="512k") as cache:
        child = multiprocessing.get_context({method!r}).Process(
            target=work, args=(cache,)
        )
        child.start()
        child.join()
        assert cache["key"] == 1
"""
    file = os.path.join(os.path.dirname(path), "program.py")
    with open(file, "w") as written:
        written.write(BEGIN + program)
    done = run_program(
        "import runpy, sys; sys.argv[:] = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')",
        file,
        path,
    )
    assert (done.returncode, done.stderr) == (0, "")
