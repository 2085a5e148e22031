"""The test suites of others that our adapters are run against.

Each is a released package, pinned. Nothing of it is copied into this
repository; a file of ours is put beside its tests and puts them on our backend.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPORTS = HERE.parents[1] / "build" / "reports"

Pythons = tuple[tuple[int, int], tuple[int, int]]

DICT = "puts a dict in the place of the store"
OTHER_BACKEND = "asks for another backend by name"
CULLING = "culls at MAX_ENTRIES, which our backend refuses: its size is in bytes"


@dataclass(frozen=True)
class Suite:
    """A suite: what it comes in, what it needs, how it is run.

    `files` are ours, each with the place where it goes in the unpacked
    `sdist`; `command` is run at `folder` there, by a Python of the oldest to
    the newest of `pythons`, with further environment `variables`. `deselected`
    are tests that cannot apply, with reasons.
    """

    name: str
    sdist: str
    needs: tuple[str, ...]
    folder: str
    files: dict[str, str]
    command: tuple[str, ...]
    pythons: Pythons
    deselected: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


def django(version: str, pythons: Pythons) -> Suite:
    """Return the cache tests of a release of Django, and what uses a cache."""
    return Suite(
        name=f"django-{version}",
        sdist=f"Django=={version}",
        needs=(f"Django=={version}",),
        folder="tests",
        files={
            "django_cache_tests.py": "tests/cache/test_fastmmap.py",
            "django_settings.py": "tests/fastmmap_settings.py",
        },
        command=(
            *("runtests.py", "--settings", "fastmmap_settings", "--parallel", "1"),
            *("cache.test_fastmmap", "sessions_tests"),
            "template_tests.syntax_tests.test_cache",
        ),
        pythons=pythons,
        deselected={
            "test_cull": CULLING,
            "test_zero_cull": CULLING,
            "test_cull_delete_when_store_empty": CULLING,
        },
    )


def of_pytest(
    package: str,
    needs: tuple[str, ...],
    ours: tuple[str, str],
    deselected: dict[str, str] | None = None,
    pythons: Pythons = ((3, 10), (3, 99)),
    variables: dict[str, str] | None = None,
) -> Suite:
    """Return a suite for pytest; `ours` are a file and its place there.

    Its settings for pytest, which ask for coverage and such, are left out.
    """
    name = package.partition("==")[0].lower()
    file, place = ours
    report = f"--junitxml={REPORTS / f'outside-{name}.xml'}"
    options = ["-c", str(HERE / "pytest.ini"), "--rootdir=.", report]
    options += ["-q", "-n", "2", "-p", "no:cacheprovider"]
    options += [f"--deselect={place}::{test}" for test in deselected or ()]
    return Suite(
        name=name,
        sdist=package,
        needs=(package, *needs),
        folder=".",
        files={file: place},
        command=("-m", "pytest", *options, place),
        pythons=pythons,
        deselected=deselected or {},
        variables=variables or {},
    )


SUITES = (
    django("4.2.30", pythons=((3, 10), (3, 12))),
    django("5.2.19", pythons=((3, 10), (3, 14))),
    django("6.1.3", pythons=((3, 12), (3, 99))),
    of_pytest(
        "cachelib==0.17.0",
        needs=("pytest-xprocess==1.0.2",),
        ours=("cachelib_tests.py", "tests/test_fastmmap.py"),
        pythons=((3, 11), (3, 99)),
    ),
    of_pytest(
        "Flask-Caching==2.5.1",
        needs=("pytest-xprocess==1.0.2", "asgiref==3.9.1"),
        ours=("flask_caching_tests.py", "tests/test_fastmmap.py"),
        deselected={
            "test_cache_unlink": OTHER_BACKEND,
            "test_cache_unlink_if_not": OTHER_BACKEND,
            "test_cache_delete_many_ignored": OTHER_BACKEND,
        },
        pythons=((3, 11), (3, 99)),
    ),
    of_pytest(
        "dogpile.cache==1.5.0",
        needs=(),
        ours=("dogpile_tests.py", "tests/test_fastmmap.py"),
    ),
    of_pytest(
        "aiocache==0.12.3",
        needs=("pytest-asyncio==0.26.0", "pytest-mock==3.14.1", "marshmallow==3.19.0"),
        ours=("aiocache_tests.py", "tests/acceptance/test_fastmmap.py"),
        deselected={
            "TestNullSerializer": "wants the very object back, not one like it",
            "TestHitMissRatioPlugin::test_get_hit_miss_ratio": DICT,
            "TestHitMissRatioPlugin::test_multi_get_hit_miss_ratio": DICT,
            "TestTimingPlugin::test_get_avg_min_max": DICT,
        },
    ),
    of_pytest(
        "requests-cache==1.3.3",
        needs=(
            *("pytest-httpbin==2.1.0", "requests-mock==1.12.1", "time-machine==2.16.0"),
            *("psutil==7.1.3", "rich==14.2.0"),
        ),
        ours=("requests_cache_tests.py", "tests/integration/test_fastmmap.py"),
        variables={"USE_PYTEST_HTTPBIN": "true"},
    ),
)
