"""fastmmap resize."""

from __future__ import annotations

import json
import os

import pytest
from commands import Run
from support import MakeCache

from fastmmap import FastMmap
from fastmmap.sync import Lock


@pytest.mark.quick
def test_a_cache_in_use_gets_another_size(cache: FastMmap, path: str, run: Run) -> None:
    cache.update({str(number): "x" * 100 for number in range(100)})
    shown = run("resize", path, "--cache-size", "2m").stdout.decode()
    assert "100 values" in shown and "nothing" in shown
    assert cache.get("7") == "x" * 100
    assert cache.page_size * cache.num_pages == 2 << 20


def test_it_says_what_found_no_room(make_cache: MakeCache, path: str, run: Run) -> None:
    cache = make_cache(cache_size="2m")
    cache.update({str(number): "x" * 1000 for number in range(1000)})
    sizes = ("--cache-size", "256k", "--page-size", "64k", "--json")
    told = json.loads(run("resize", path, *sizes, status=1).stdout)
    assert told["values"] + told["no_room"] == 1000
    assert (told["page_size"], told["num_pages"]) == (65536, 4)


def test_it_refuses_what_makes_no_sense(cache: FastMmap, path: str, run: Run) -> None:
    assert b"--cache-size" in run("resize", path, status=2).stderr
    before = os.stat(path).st_ino
    lock = Lock(cache, "work")
    lock.acquire()
    done = run("resize", path, "--cache-size", "2m", status=2)
    assert b"locks" in done.stderr
    assert os.stat(path).st_ino == before
    run("resize", path, "--cache-size", "2m", "--break-locks")
    assert os.stat(path).st_ino != before
