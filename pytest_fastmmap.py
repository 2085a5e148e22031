"""The pytest plugin: its options and fixtures.

Every pytest run of an environment imports this module. So it imports nothing
of fastmmap, whose package would bring the extension along; what the fixtures
do is in `fastmmap.contrib.pytest`, and imported when a test asks for one.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

if not hasattr(pytest, "StashKey"):
    raise ImportError(
        f"the plugin of fastmmap needs pytest 7 or newer, found {pytest.__version__}: "
        "pip install fastmmap[pytest], or turn it off with -p no:fastmmap"
    )

if TYPE_CHECKING:
    from fastmmap import FastMmap
    from fastmmap.contrib.pytest import Once

_SIZES = {
    "fastmmap_cache_size": ("1m", "size of the cache of the fixture fastmmap_cache"),
    "fastmmap_shared_size": ("16m", "size of the cache of the fixture shared_cache"),
}
#: The directory of this run, for all workers; made when a test needs it.
_DIRECTORY = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options, which are settings of the same names, too."""
    group = parser.getgroup("fastmmap", "shared caches")
    for name, (default, help_text) in _SIZES.items():
        option = "--" + name.replace("_", "-")
        text = f'{help_text}, such as "{default}", the default'
        group.addoption(option, metavar="SIZE", help=text)
        parser.addini(name, text, default=default)
    _add_report(group)


def _add_report(group: "pytest.OptionGroup") -> None:
    group.addoption(
        "--fastmmap-report",
        action="store_true",
        help="report at the end how the cache of the fixture shared_cache was used",
    )


def _option(config: pytest.Config, name: str) -> Any:
    return config.getoption(name) or config.getini(name)


def _is_worker(config: pytest.Config) -> bool:
    """Tell whether this is a worker of xdist, and not who started it."""
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """Name the directory of the run, or learn its name."""
    if _is_worker(config):
        given: dict[str, str] = config.workerinput  # type: ignore[attr-defined]  # by xdist
        directory = given["fastmmap_directory"]
    else:
        name = f"fastmmap-pytest-{os.urandom(16).hex()}"
        directory = os.path.join(tempfile.gettempdir(), name)
    config.stash[_DIRECTORY] = directory


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist the directory of the run."""
    node.workerinput["fastmmap_directory"] = node.config.stash[_DIRECTORY]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say how the shared cache was used, where that is asked for."""
    directory = config.stash.get(_DIRECTORY, "")
    if config.getoption("fastmmap_report") and not _is_worker(config):
        from fastmmap.contrib.pytest import report

        terminalreporter.section("fastmmap")
        for line in report(directory):
            terminalreporter.line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the directory at the end of the run, when all workers are gone."""
    directory = config.stash.get(_DIRECTORY, "")
    if not _is_worker(config) and os.path.isdir(directory):
        import shutil

        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def fastmmap_cache(pytestconfig: pytest.Config) -> Iterator["FastMmap"]:
    """Return an empty cache, for this test alone."""
    from fastmmap import FastMmap

    with FastMmap(cache_size=_option(pytestconfig, "fastmmap_cache_size")) as cache:
        yield cache


@pytest.fixture(scope="session")
def shared_cache(pytestconfig: pytest.Config) -> Iterator["FastMmap"]:
    """Return one cache for the whole run: all workers of xdist have the same."""
    from fastmmap.contrib.pytest import open_shared

    directory = pytestconfig.stash[_DIRECTORY]
    size = _option(pytestconfig, "fastmmap_shared_size")
    with open_shared(directory, size) as cache:
        yield cache


@pytest.fixture(scope="session")
def once(pytestconfig: pytest.Config) -> Iterator["Once"]:
    """Return ``once(key, factory)``: what one worker makes, all have."""
    from fastmmap.contrib.pytest import Once

    with closing(Once(pytestconfig.stash[_DIRECTORY])) as values:
        yield values
