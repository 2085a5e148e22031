"""Tests that share what is expensive: ``pytest -n 2 with_pytest.py``."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from fastmmap import FastMmap

Once = Callable[[str, Callable[[], list[str]]], list[str]]


def load_dictionary() -> list[str]:
    """Load what takes long; one worker does."""
    return ["apple", "pear", "plum"]


@pytest.fixture(scope="session")
def dictionary(once: Once) -> list[str]:
    return once("dictionary", load_dictionary)


@pytest.mark.parametrize("word", ["apple", "pear"])
def test_word_is_known(
    dictionary: list[str], shared_cache: FastMmap, word: str
) -> None:
    shared_cache.incr("looked up")  # counted over all workers
    assert word in dictionary


def test_each_test_starts_empty(fastmmap_cache: FastMmap) -> None:
    assert len(fastmmap_cache) == 0


if __name__ == "__main__":
    sys.exit(pytest.main(["-q", "-n", "2", "-p", "no:cacheprovider", __file__]))
