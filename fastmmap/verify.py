"""Verifying a cache file from outside, page by page, and repairing it.

Looks at bytes only: no value is read, so none can do harm.
"""

import json
from typing import NamedTuple

from fastmmap import _core
from fastmmap.errors import CorruptError, LockTimeout


class PageCheck(NamedTuple):
    """The state of one page; counts are of index slots in use."""

    number: int
    problem: str  #: "" when there is none
    slots: int  #: found in use, sound or not
    kept: int  #: sound entries, by now
    checked: bool = True  #: False: it was held all the time
    repaired: bool = False

    @property
    def sound(self) -> bool:
        """Tell whether nothing is wrong with the page by now."""
        return self.checked and (self.repaired or not self.problem)

    def __str__(self) -> str:
        """Return a line about it."""
        return f"page {self.number}: {self.problem}{self._outcome()}"

    def _outcome(self) -> str:
        if not self.repaired:
            return ""
        if not self.kept:
            return f"; beyond saving: emptied, {self.slots} entries dropped"
        return f"; repaired: {self.kept} of {self.slots} entries kept"


class FileCheck(NamedTuple):
    """The state of a file."""

    path: str
    pages: list[PageCheck]
    torn: int = 0  #: entries that do not match their seals, as after a power cut
    dropped: bool = False  #: they are out of the file by now

    @property
    def sound(self) -> bool:
        """Tell whether nothing is wrong with the file by now."""
        whole = self.dropped or not self.torn
        return whole and all(page.sound for page in self.pages)

    def as_text(self) -> str:
        """Return a line for each page with a problem, and a summary."""
        found = [page for page in self.pages if page.problem]
        held = sum(not page.checked for page in found)
        repaired = sum(page.repaired for page in found)
        summary = (
            f"{len(self.pages)} pages, {sum(page.kept for page in self.pages)} "
            f"entries, {len(found) - held} pages with problems"
        )
        if repaired:
            summary += f", {repaired} repaired"
        if held:
            summary += f", {held} pages not checked"
        if self.torn:
            summary += f", {self.torn} torn entries: " + (
                "dropped" if self.dropped else "whoever opens the file next drops them"
            )
        return "\n".join([*map(str, found), summary])

    def as_json(self) -> str:
        """Return the same for machines; only pages with a problem are listed."""
        report = {
            "file": self.path,
            "sound": self.sound,
            "pages": len(self.pages),
            "entries": sum(page.kept for page in self.pages),
            "torn": self.torn,
            "problems": [page._asdict() for page in self.pages if page.problem],
        }
        return json.dumps(report, indent=2, sort_keys=True)


def open_file(path: str, inspect: bool = True, only_whole: bool = True) -> _core.Cache:
    """Open a cache file of any user, only to look at it.

    Raises FormatError unless it is a complete cache file, OSError.
    """
    return _core.Cache(
        path,
        must_exist=True,
        allow_shared=True,
        sigbus_guard=True,
        inspect=inspect,
        only_whole=inspect and only_whole,
    )


def _check_page(
    cache: _core.Cache, number: int, repair: bool, wait_ms: int
) -> PageCheck:
    try:
        kept, _, _, problem, slots = cache._check_page(number, repair, wait_ms)
    except LockTimeout:
        problem = f"not checked: it was held for all of {wait_ms / 1000:g} s"
        return PageCheck(number, problem, 0, 0, checked=False)
    return PageCheck(number, problem, slots, kept)


def _check_all(path: str, wait_ms: int) -> list[PageCheck]:
    cache = open_file(path, only_whole=False)
    try:
        return [
            _check_page(cache, number, False, wait_ms)
            for number in range(cache.num_pages)
        ]
    finally:
        cache.close()


def _count_torn(path: str) -> int:
    """Return how many entries whoever opens the file next will drop."""
    cache = open_file(path)
    try:
        return cache._info()["torn"]
    finally:
        cache.close()


def _repair(path: str, pages: list[PageCheck], wait_ms: int) -> list[PageCheck]:
    """Repair the pages with a problem; return what all of them are like then.

    What is torn is dropped by the opening.
    """
    cache = open_file(path, inspect=False)
    try:
        return [
            _repair_page(cache, page, wait_ms) if page.problem else page
            for page in pages
        ]
    finally:
        cache.close()


def _repair_page(cache: _core.Cache, page: PageCheck, wait_ms: int) -> PageCheck:
    """Repair a page and look at it again."""
    try:
        found = _check_page(cache, page.number, True, wait_ms)
        if not found.checked:
            return page
        after = _check_page(cache, page.number, False, wait_ms)
    except CorruptError:
        return page
    if page.checked:
        found = page  # a file of another boot was repaired when it was opened
    if after.problem or not found.problem:
        return after
    return found._replace(kept=after.kept, repaired=True)


def check_file(path: str, repair: bool = False, wait_ms: int = 5000) -> FileCheck:
    """Verify the pages of a file; with `repair` repair those that need it.

    A page that is held is given up after `wait_ms`. Raises FormatError unless it is
    a complete cache file of this version and machine, OSError.
    """
    pages, torn = _check_all(path, wait_ms), _count_torn(path)
    if repair and (torn or any(page.problem for page in pages)):
        pages = _repair(path, pages, wait_ms)
    return FileCheck(path, pages, torn, dropped=repair)
