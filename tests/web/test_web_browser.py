"""The page in a real browser: what an operator sees and does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import browser
import pytest
from support import MakeCache

from fastmmap import FastMmap
from fastmmap.sync import Lock
from fastmmap.web import walks
from fastmmap.web.server import LocalServer

REASON = browser.missing()
pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
    pytest.mark.timeout(240),
]

HOSTILE = [
    "<img src=x onerror=document.title='broken'>",
    "<script>document.title='broken'</script>",
    "\u202egnp.exe\r\n",
    b"\xff\0<b>bytes</b>",
]
_PATIENCE = 60.0


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """Run one browser for all tests."""
    with browser.chromium() as found:
        yield found


class Page:
    """The page, as it is in the browser."""

    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(self) -> None:
        self.driver.get(self.url)
        self.until(lambda: self.text("#word") != "")

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        return str(self.run(f"return document.querySelector({selector!r}).textContent"))

    def keys(self) -> list[str]:
        """Return the keys that are listed."""
        script = "return [...document.querySelectorAll('.key')].map(e => e.textContent)"
        return list(self.run(script))

    def run(self, script: str, *values: object) -> Any:
        return self.driver.execute_script(script, *values)

    def until(self, true: Callable[[], object]) -> None:
        """Wait until something is true."""
        end = time.monotonic() + _PATIENCE
        while not true():
            assert time.monotonic() < end, self.text("body")
            time.sleep(0.05)

    def is_open(self, dialog: str) -> bool:
        return bool(self.run(f"return document.querySelector('{dialog}').open"))

    def confirm(self) -> None:
        self.until(lambda: self.is_open("#confirm"))
        self.find("#confirm button[value=yes]").click()

    def complaints(self) -> list[str]:
        """Return what the browser has to complain of since it was asked last."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture
def page_of(driver: Any) -> Iterator[Callable[..., Page]]:
    """Return a function that serves caches and opens their page."""
    servers: list[tuple[LocalServer, threading.Thread]] = []

    def open_page(*caches: FastMmap, write: bool = False) -> Page:
        server = LocalServer([cache.share_file for cache in caches], 0, write)
        thread = threading.Thread(target=server.run)
        thread.start()
        servers.append((server, thread))
        page = Page(driver, server.url)
        browser.resize(driver, *browser.DESK)
        browser.prefer(driver, "light")
        page.open()
        return page

    yield open_page
    complaints = [entry["message"] for entry in driver.get_log("browser")]
    driver.get("about:blank")
    for server, thread in servers:
        server.end()
        thread.join()
    assert complaints == []


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what walks found be good for a moment only."""
    monkeypatch.setattr(walks, "FRESH", 0.2)


def test_what_happens_is_seen_live(
    page_of: Callable[..., Page], cache: FastMmap
) -> None:
    cache.update({f"user:{number}": "x" * 10 * number for number in range(100)})
    page = page_of(cache)
    assert page.text("#tile-entries output") == "100"
    page.until(lambda: len(page.keys()) == walks.LISTED)
    assert page.keys()[0] == "user:99"
    cache["larger:1"] = "x" * 5000
    page.until(lambda: page.text("#tile-entries output") == "101")
    page.until(lambda: page.keys()[0] == "larger:1")
    page.until(lambda: "larger:" in page.text("#prefixes"))
    page.until(lambda: page.find("#rates").find_elements("css selector", "path.l"))
    page.find("#pause").click()
    cache["later"] = 1
    time.sleep(2.5)
    assert page.text("#tile-entries output") == "101"
    page.find("#pause").click()
    page.until(lambda: page.text("#tile-entries output") == "102")


def test_keys_are_found_and_their_values_shown(
    page_of: Callable[..., Page], cache: FastMmap
) -> None:
    cache.update({"page:1": "one", "user:1": "two\nlines", "user:2": 7})
    cache.namespace("inner")["deep"] = 1
    page = page_of(cache)
    page.find("#text").send_keys("user:")
    page.until(lambda: sorted(page.keys()) == ["user:1", "user:2"])
    page.find("#text").clear()
    page.find("#text").send_keys("*:1")
    page.until(lambda: sorted(page.keys()) == ["page:1", "user:1"])
    page.run("document.querySelector('.key[title=\"user:1\"]').click()")
    page.until(lambda: page.is_open("#value"))
    assert page.text("#value-text") == "two\nlines"
    assert not page.find("#value-delete").is_displayed()
    page.find("#value button[autofocus]").click()
    page.find("#text").clear()
    page.find("#namespace").send_keys("inner")
    page.until(lambda: page.keys() == ["deep"])


def test_hostile_keys_and_values_are_text(
    page_of: Callable[..., Page], cache: FastMmap
) -> None:
    for key in HOSTILE:
        cache[key] = "<img src=x onerror=document.title='broken'>"
    page = page_of(cache)
    page.until(lambda: len(page.keys()) == len(HOSTILE))
    assert set(HOSTILE[:2]) < set(page.keys())
    assert "\\u202egnp.exe\\r\\n" in page.keys()
    for number in range(len(HOSTILE)):
        page.run(f"document.querySelectorAll('.key')[{number}].click()")
        page.until(lambda: page.is_open("#value"))
        assert page.text("#value-text").startswith("<img")
        page.find("#value button[autofocus]").click()
    page.find("#add-namespace input").send_keys(HOSTILE[0], "\n")
    page.until(lambda: HOSTILE[0] in page.text("#namespaces"))
    counts = "return document.querySelectorAll('img, #main script, #main b:not([id])')"
    assert page.run(counts) == [] and "broken" not in page.run("return document.title")


def test_the_map_tells_by_keyboard_what_a_page_is_like_and_who_holds_it(
    page_of: Callable[..., Page], cache: FastMmap
) -> None:
    cache.update({f"key {number}": b"x" * 500 for number in range(200)})
    page = page_of(cache)
    page.until(lambda: "4 pages" in page.text("#cell"))
    page.find("#map").send_keys("\ue014")  # the right arrow
    page.until(lambda: page.text("#cell").startswith("Page 1:"))
    assert page.find("#map").get_attribute("aria-valuetext") == page.text("#cell")
    page.find("#map").send_keys("\ue011")  # home
    with FastMmap(cache.share_file) as other:
        held = next(key for key in other if page_number(other, key) == 0)
    with cache.lock(held):
        page.until(lambda: "Held by" in page.text("#cell"))
    page.until(lambda: "Held by" not in page.text("#cell"))


def page_number(cache: FastMmap, key: Any) -> int:
    """Return the page that a key is on."""
    with FastMmap(cache.share_file) as other, cache.lock(key):
        held = [other._page_stats(page)[7] for page in range(other.num_pages)]
    return held.index(True)


def test_what_is_to_be_dropped_is_asked_for_and_dropped(
    page_of: Callable[..., Page], cache: FastMmap
) -> None:
    cache.update({"<b>one": 1, "two": 2})
    cache.set("three", 3, tags=["tag"])
    space = cache.namespace("inner")
    space["four"] = 4
    page = page_of(cache, write=True)
    page.until(lambda: "<b>one" in page.keys())
    page.run("document.querySelector('.key[title=\"<b>one\"]').click()")
    page.until(lambda: page.is_open("#value"))
    page.find("#value-delete").click()
    page.until(lambda: page.is_open("#confirm"))
    page.find("#confirm button[value=no]").click()
    assert "<b>one" in cache
    page.find("#value-delete").click()
    page.confirm()
    page.until(lambda: "<b>one" not in cache and not page.is_open("#value"))
    page.find("#invalidate input").send_keys("tag", "\n")
    page.confirm()
    page.until(lambda: "three" not in cache)
    page.find("#add-namespace input").send_keys("inner", "\n")
    page.until(lambda: page.text("#namespaces td.n") == "1")
    page.run("document.querySelector('#namespaces .danger').click()")
    page.confirm()
    page.until(lambda: "four" not in space)
    assert "two" in cache
    page.run("document.querySelector('#clear').click()")
    page.confirm()
    page.until(lambda: len(cache) == 0)


def test_who_has_a_lock_is_told(page_of: Callable[..., Page], cache: FastMmap) -> None:
    page = page_of(cache)
    with Lock(cache, "import"):
        page.find("#lock input").send_keys("import", "\n")
        page.until(lambda: "locked by" in page.text("#holder"))
    page.find("#lock button").click()
    page.until(lambda: "nobody" in page.text("#holder"))
    assert "locked by" not in page.text("#holder")


def test_one_of_several_caches_is_chosen(
    page_of: Callable[..., Page], cache: FastMmap, make_cache: MakeCache
) -> None:
    other = make_cache(share_file=f"{cache.share_file}.other", cache_size="512k")
    other.update(a=1, b=2, c=3)
    page = page_of(cache, other)
    assert page.text("#tile-entries output") == "0"
    page.find("#caches option:nth-child(2)").click()
    page.until(lambda: page.text("#tile-entries output") == "3")
    page.until(lambda: sorted(page.keys()) == ["a", "b", "c"])
    page.driver.refresh()
    page.until(lambda: page.text("#tile-entries output") == "3")


def test_light_and_dark_follow_the_system_until_one_is_chosen(
    page_of: Callable[..., Page], cache: FastMmap
) -> None:
    page = page_of(cache)
    look = "return getComputedStyle(document.documentElement).backgroundColor"
    light = page.run(look)
    browser.prefer(page.driver, "dark")
    page.until(lambda: page.run(look) != light)
    dark = page.run(look)
    page.find("#theme").click()  # dark
    page.find("#theme").click()  # light
    assert page.run(look) == light
    page.driver.refresh()
    assert page.run(look) == light
    page.find("#theme").click()  # as the system has it
    assert page.run(look) == dark


@pytest.mark.parametrize("size", [browser.DESK, browser.PHONE, (320, 700, True)])
def test_nothing_is_wider_than_the_screen(
    page_of: Callable[..., Page], cache: FastMmap, size: tuple[int, int, bool]
) -> None:
    cache.update({"x" * 400: 1, **{f"{'long' * 9}:{n}": n for n in range(20)}})
    page = page_of(cache, write=True)
    browser.resize(page.driver, *size)
    page.until(lambda: len(page.keys()) > 5)
    assert page.run("return document.documentElement.scrollWidth") <= size[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_hinders_those_who_cannot_see_it(
    page_of: Callable[..., Page], cache: FastMmap, scheme: str
) -> None:
    axe = pytest.importorskip("axe_selenium_python")
    cache.update({f"user:{number}": number for number in range(100)})
    cache.set("expiring", 1, expire_time=100, tags=["tag"])
    page = page_of(cache, write=True)
    browser.prefer(page.driver, scheme)
    page.find("#add-namespace input").send_keys("inner", "\n")
    page.until(lambda: len(page.keys()) > 5)
    checker = axe.Axe(page.driver)
    checker.inject()
    found = checker.run()["violations"]
    assert found == [], checker.report(found)
    page.run("document.querySelector('.key').click()")
    page.until(lambda: page.is_open("#value"))
    found = checker.run()["violations"]
    assert found == [], checker.report(found)
