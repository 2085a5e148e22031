"""memoize(): whose results they are, which version of it, and how often it computed."""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import fastmmap
from fastmmap import CacheInfo, FastMmap, definitions
from fastmmap.code_digest import code_digest


@pytest.fixture(autouse=True)
def _no_names_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definitions, "_taken", {})


def adder(n: int) -> Callable[[int], int]:
    def add(x: int) -> int:
        return x + n

    return add


def doubler() -> Callable[[int], int]:
    def double(x: int) -> int:
        return 2 * x

    return double


class Shop:
    def price(self, x: int) -> int:
        return x


# ------------------------------------------------------------------------ names


@pytest.mark.quick
def test_a_function_that_uses_variables_around_it_needs_a_name(cache: FastMmap) -> None:
    with pytest.raises(TypeError, match=r"uses 'n' of the enclosing function.*name="):
        cache.memoize()(adder(1))
    one = cache.memoize(name="add 1")(adder(1))
    two = cache.memoize(name="add 2")(adder(2))
    assert (one(1), two(1), one(1), two(1)) == (2, 3, 2, 3)
    assert one.cache_key(1) == "add 1(x=1)"


def test_a_function_inside_another_is_one_however_often_it_is_made(
    cache: FastMmap,
) -> None:
    assert cache.memoize()(doubler())(1) == cache.memoize()(doubler())(1) == 2


def test_a_function_may_use_itself(cache: FastMmap) -> None:
    @cache.memoize()
    def factorial(n: int) -> int:
        return n * factorial(n - 1) if n else 1

    assert factorial(5) == 120


def plus_one(x: int) -> int:
    return x + 1


def plus_two(x: int) -> int:
    return x + 2


plus_two.__qualname__ = plus_one.__qualname__


@pytest.mark.quick
def test_a_second_function_of_a_name_is_refused(cache: FastMmap) -> None:
    one = cache.memoize()(plus_one)
    with pytest.raises(TypeError, match=r"has the name '.*plus_one', like another"):
        cache.memoize()(plus_two)
    two = cache.memoize(name="plus two")(plus_two)
    assert (one(1), two(1)) == (2, 3)
    with pytest.raises(TypeError, match="like another function"):
        cache.memoize(name="plus two")(plus_one)


def test_one_name_in_two_namespaces_is_two(cache: FastMmap) -> None:
    one = cache.namespace("a").memoize()(plus_one)
    two = cache.namespace("b").memoize()(plus_two)
    assert (one(1), two(1)) == (2, 3)


def test_the_same_function_may_be_memoized_twice(cache: FastMmap) -> None:
    assert cache.memoize()(plus_one)(1) == cache.memoize("1h")(plus_one)(1) == 2


def choose(cache: FastMmap, way: int) -> Any:
    if way == 1:

        @cache.memoize()
        def chosen(x: int) -> int:
            return x

    else:

        @cache.memoize()
        def chosen(x: int) -> int:
            return -x

    return chosen


def test_two_functions_at_two_places_of_one_function_are_two(cache: FastMmap) -> None:
    assert choose(cache, 1)(1) == 1
    with pytest.raises(TypeError, match="like another function"):
        choose(cache, 2)


TWICE = """
from the_cache import cache
class Shop:
    @cache.memoize()
    def price(): return 1
class Shop:
    @cache.memoize()
    def price(): return 2
"""


@pytest.fixture
def module(
    cache: FastMmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], ModuleType]]:
    """Make a module of a source, or load it again."""
    the_cache = ModuleType("the_cache")
    the_cache.cache = cache  # type: ignore[attr-defined]  # as a program's module has
    monkeypatch.setitem(sys.modules, "the_cache", the_cache)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def make(source: str) -> ModuleType:
        (tmp_path / "shop_of_test.py").write_text(source)
        importlib.invalidate_caches()
        if "shop_of_test" in sys.modules:
            return importlib.reload(sys.modules["shop_of_test"])
        return importlib.import_module("shop_of_test")

    yield make
    sys.modules.pop("shop_of_test", None)


def test_a_second_class_of_a_name_is_refused(module: Any) -> None:
    with pytest.raises(TypeError, match=r"'shop_of_test\.Shop\.price'"):
        module(TWICE)


def test_a_module_may_be_loaded_again_after_a_change(module: Any) -> None:
    once = "from the_cache import cache\n@cache.memoize()\ndef price(): return 1\n"
    assert module(once).price() == 1
    assert module(once).price() == 1
    changed = once.replace("memoize()", "memoize(version=2)").replace("n 1", "n 23")
    assert module(f"\n\n{changed}").price() == 23


def test_what_belongs_to_an_object_needs_a_name(cache: FastMmap) -> None:
    bound = functools.wraps(plus_one)(functools.partial(plus_one, 1))
    for function in (Shop().price, "".join, bound):
        with pytest.raises(TypeError, match=r"belongs to an object.*name="):
            cache.memoize()(function)
    assert cache.memoize(name="price")(Shop().price)(3) == 3


def test_a_lambda_with_a_name_needs_no_key(cache: FastMmap) -> None:
    assert cache.memoize(name="half")(lambda x: x / 2)(4) == 2
    assert cache["half(x=4)"] == 2


PROGRAM = """
from fastmmap import FastMmap
cache = FastMmap({path!r}, cache_size="1m")
@cache.memoize({options})
def price(): return {price}
print(price())
"""


def run(program: str, *, file: Path | None = None, status: int = 0) -> str:
    """Run a program from its file, or as one that has none, like a notebook."""
    if file is not None:
        file.write_text(program)
    done = subprocess.run(
        [sys.executable, *(["-c", program] if file is None else [str(file)])],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


@pytest.mark.quick
def test_two_programs_never_get_results_of_each_other(
    path: str, tmp_path: Path
) -> None:
    for number in (1, 2, 1):
        program = PROGRAM.format(path=path, options="", price=number)
        assert run(program, file=tmp_path / f"program{number}.py") == f"{number}\n"


def test_a_function_of_a_notebook_needs_a_name(path: str) -> None:
    program = PROGRAM.format(path=path, options="", price=1)
    assert "is from a notebook or prompt" in run(program, status=1)
    program = PROGRAM.format(path=path, options='name="price"', price=1)
    assert run(program) == "1\n"


CELLS = """
from fastmmap import FastMmap
cache = FastMmap({path!r}, cache_size="1m")
cell = '''
@cache.memoize(name="price", version="source")
def price(): return {{}}
'''
for number, result in enumerate([1, 1, 2]):
    exec(compile(cell.format(result), f"cell {{number}}", "exec"))
    assert price() == result, price()
double = cell.format(1) + cell.format(2)
try:
    exec(compile(double, "a cell", "exec"))
except TypeError as error:
    print(error)
"""


def test_a_cell_of_a_notebook_may_run_again(path: str) -> None:
    assert "like another function" in run(CELLS.format(path=path))


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ({"name": 1}, TypeError),
        ({"name": ""}, ValueError),
        ({"name": "a", "key": str}, ValueError),
        ({"version": 1.5}, TypeError),
        ({"version": True}, TypeError),
        ({"version": 1, "key": str}, ValueError),
    ],
    ids=str,
)
def test_bad_names_and_versions_are_errors_at_once(
    cache: FastMmap, bad: Any, kind: Any
) -> None:
    with pytest.raises(kind):
        cache.memoize(**bad)(plus_one)


# --------------------------------------------------------------------- versions


@pytest.mark.quick
def test_results_of_another_version_are_not_seen(cache: FastMmap) -> None:
    keys = {
        cache.memoize(version=version)(plus_one).cache_key(1)
        for version in (None, 1, 2, "1.0")
    }
    assert len(keys) == 4


def source(text: str, name: str = "f") -> Any:
    space: dict[str, Any] = {"__name__": __name__}
    exec(text, space)
    return space[name]


SOURCE = "def f(x):\n    'Doc.'\n    return [y + 1 for y in x if y in {'a', 'b'}]\n"


def test_a_digest_of_the_source_changes_with_code_and_constants() -> None:
    changed = [
        SOURCE.replace("y + 1", "y - 1"),
        SOURCE.replace("1", "2"),
        SOURCE.replace("1", "1.0"),
        SOURCE.replace("'b'", "'c'"),
        SOURCE.replace("x)", "y)").replace("in x", "in y"),
    ]
    digests = {code_digest(source(text)) for text in (SOURCE, *changed)}
    assert len(digests) == 6


def test_a_digest_of_the_source_leaves_out_what_does_nothing() -> None:
    same = ["\n\n" + SOURCE, SOURCE.replace("Doc", "Text"), f"# a comment\n{SOURCE}"]
    assert {code_digest(source(text)) for text in same} == {code_digest(source(SOURCE))}
    wrapped = functools.wraps(plus_one)(lambda x: plus_one(x))
    assert code_digest(wrapped) == code_digest(plus_one)


def test_a_digest_of_the_source_is_the_same_in_every_process() -> None:
    program = (
        "from fastmmap.code_digest import code_digest\n"
        f"exec({SOURCE!r})\nprint(code_digest(f))"
    )
    assert {run(program) for _ in range(3)} == {f"{code_digest(source(SOURCE))}\n"}


def test_a_changed_function_does_not_serve_old_results(cache: FastMmap) -> None:
    old = cache.memoize(name="f", version="source")(source("def f(): return 1"))
    assert old() == 1
    definitions._taken.clear()  # in the next process
    new = cache.memoize(name="f", version="source")(source("def f(): return 2"))
    assert new() == 2


def test_a_function_without_a_source_says_so(cache: FastMmap) -> None:
    with pytest.raises(TypeError, match="a Python function"):
        cache.memoize(version="source")(len)


# ----------------------------------------------------------- without parentheses


@pytest.mark.quick
def test_memoize_needs_no_parentheses(cache: FastMmap) -> None:
    class Thing:
        @cache.memoize
        @classmethod
        def of_class(cls) -> str:
            return cls.__name__

    plus = cache.memoize(plus_one)
    assert (plus(1), plus(1)) == (2, 2)
    assert cache.memoize(plus_one, typed=True).cache_parameters()["typed"] is True  # type: ignore[call-overload]  # it works
    assert Thing.of_class() == "Thing"


def test_a_lifetime_is_given_once(cache: FastMmap) -> None:
    with pytest.raises(TypeError, match="expire_time"):
        cache.memoize("1h", expire_time="2h")  # type: ignore[call-overload]  # on purpose
    assert cache.memoize(expire_time="1h")(plus_one)(1) == 2


# --------------------------------------------------------- info, clear, parameters


@pytest.mark.quick
def test_calls_are_counted(cache: FastMmap) -> None:
    plus = cache.memoize(plus_one)
    for x in (1, 1, 2, 1):
        plus(x)
    assert plus.cache_info() == CacheInfo(hits=2, misses=2)
    assert cache.memoize(plus_one).cache_info() == (0, 0, None, None)


def test_calls_of_coroutine_functions_are_counted(cache: FastMmap) -> None:
    @cache.memoize
    async def later(x: int) -> int:
        await asyncio.sleep(0.01)
        return x

    async def main() -> None:
        await asyncio.gather(*(later(1) for _ in range(5)))
        await later(1)

    asyncio.run(main())
    assert later.cache_info() == CacheInfo(hits=5, misses=1)


def test_who_waits_for_another_counts_as_a_hit(cache: FastMmap) -> None:
    entered, leave = threading.Event(), threading.Event()

    @cache.memoize(name="slow")
    def slow() -> int:
        entered.set()
        assert leave.wait(30)
        return 1

    threads = [threading.Thread(target=slow) for _ in range(3)]
    threads[0].start()
    assert entered.wait(30)
    for thread in threads[1:]:
        thread.start()
    leave.set()
    for thread in threads:
        thread.join(30)
    assert slow.cache_info() == CacheInfo(hits=2, misses=1)


@pytest.mark.quick
@pytest.mark.parametrize(
    "options",
    [{}, {"expire_time": "1h", "stale": "1h"}, {"tags": ["t"]}, {"key": "{}".format}],
    ids=["plain", "stale", "tags", "key"],
)
def test_all_results_of_one_function_can_be_forgotten(
    cache: FastMmap, options: Any
) -> None:
    plus = cache.memoize(**options)(plus_one)
    other = cache.memoize(name="other")(plus_two)
    for x in range(5):
        plus(x), other(x)
    plus.cache_clear()
    assert [cache.exists(plus.cache_key(x)) for x in range(5)] == [False] * 5
    assert plus.cache_info() == CacheInfo(0, 0)
    plus(1), other(1)
    assert plus.cache_info() == CacheInfo(0, 1)
    assert other.cache_info() == CacheInfo(1, 5)


def test_a_result_of_before_is_not_kept_after_all_were_forgotten(
    cache: FastMmap,
) -> None:
    @cache.memoize
    def compute() -> int:
        compute.cache_clear()
        return 1

    compute()
    assert compute.cache_key() not in cache


def test_results_of_all_versions_are_forgotten_in_every_object(
    cache: FastMmap,
) -> None:
    old = cache.memoize(version=1)(plus_one)
    old(1)
    with FastMmap(cache.share_file) as other:
        other.memoize(version=2)(plus_one).cache_clear()
    assert old.cache_key(1) not in cache


def test_a_result_has_room_for_fifteen_tags(cache: FastMmap) -> None:
    tags = [str(n) for n in range(15)]
    assert cache.memoize(tags=tags, name="few")(plus_one)(1) == 2
    with pytest.raises(ValueError, match="17 tags: a value has at most 16"):
        cache.memoize(tags=[*tags, "16"], name="many")(plus_one)(1)


def test_the_options_can_be_asked_for(cache: FastMmap) -> None:
    kept = cache.memoize("1h", ignore="x", typed=True, version=3, stale="5m")(plus_one)
    given = kept.cache_parameters()
    assert given.pop("name") == f"{__name__}.plus_one"
    assert given == {
        "expire_time": "1h",
        "key": None,
        "ignore": ("x",),
        "typed": True,
        "version": 3,
        "negative": None,
        "early": 0.0,
        "stale": 300.0,
        "stale_on_error": 0.0,
        "cache_exceptions": (),
        "timeout": None,
        "lease_time": 60.0,
        "tags": (),
    }
    assert fastmmap.CacheInfo is CacheInfo
