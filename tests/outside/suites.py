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
NO_SERVER = "asks for a cache whose server is away; ours has none"
REDIS = "counts in Redis"
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


def of_app(
    package: str,
    needs: tuple[str, ...],
    files: dict[str, str],
    settings: str,
    labels: tuple[str, ...],
    deselected: dict[str, str] | None = None,
) -> Suite:
    """Return the tests of an application for Django, with its settings and labels."""
    return Suite(
        name=package.partition("==")[0],
        sdist=package,
        needs=(package, "Django==5.2.19", *needs),
        folder=".",
        files=files,
        command=(
            *("-m", "django", "test", "--pythonpath", ".", "--parallel", "1"),
            *("--settings", settings, *labels),
        ),
        pythons=((3, 10), (3, 14)),
        deselected=deselected or {},
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
    # slowapi ships no tests: see tests/contrib/test_limited_apps.py.
    of_pytest(
        "limits==5.8.0",
        needs=(
            *("pytest-asyncio==0.26.0", "flaky==3.8.1", "pytest-lazy-fixtures==1.4.1"),
            *("lovely-pytest-docker==1.0.0", "pytest-benchmark==5.3.1"),
            *("pymemcache==4.0.0", "pymongo==4.20.1", "valkey==6.2.0"),
        ),
        ours=("limits_tests.py", "tests/test_fastmmap.py"),
    ),
    of_pytest(
        "Flask-Limiter==4.1.1",
        needs=(
            *("limits==5.8.0", "flask-restful==0.3.10", "flask-restx==1.3.2"),
            *("asgiref==3.9.1", "hiro==1.1.1", "pytest-check==3.0.3"),
            *("pytest-mock==3.14.1", "lovely-pytest-docker==1.0.0"),
            *("pymemcache==4.0.0", "pymongo==4.20.1"),
        ),
        ours=("flask_limiter_tests.py", "tests/test_fastmmap.py"),
        deselected=dict.fromkeys(
            (
                *("test_clear_limits", "test_constructor_arguments_over_config"),
                *("test_reset_unsupported", "test_fallback_to_memory"),
                "test_fallback_to_memory_config",
                "test_fallback_to_memory_backoff_check",
                "test_fallback_to_memory_with_global_override",
                *("test_custom_key_prefix", "test_custom_key_prefix_with_headers"),
                "test_redis_request_slower_than_fixed_window",
                "test_redis_request_slower_than_moving_window",
            ),
            REDIS,
        ),
        variables={"COLUMNS": "200"},  # a path of ours takes its room
    ),
    of_app(
        "django-ratelimit==4.1.0",
        needs=(),
        files={
            "ratelimit_settings.py": "ratelimit_settings.py",
            "ratelimit_tests.py": "ratelimit_tests.py",
        },
        settings="ratelimit_settings",
        labels=("ratelimit_tests",),
        deselected=dict.fromkeys(
            (
                "test_limit_on_cache_connection_error",
                "test_fail_open_setting",
                "test_is_ratelimited_cache_connection_error_without_increment",
                "test_is_ratelimited_cache_connection_error_with_increment",
                "test_is_ratelimited_cache_connection_error_with_increment_redis",
            ),
            NO_SERVER,
        ),
    ),
    of_app(
        "django-axes==8.3.1",
        needs=("django-ipware==7.0.1",),
        files={
            "axes_settings.py": "tests/fastmmap_settings.py",
            "axes_tests.py": "tests/test_fastmmap.py",
        },
        settings="tests.fastmmap_settings",
        labels=("tests.test_fastmmap",),
        deselected=dict.fromkeys(
            (
                "test_login_during_lockout_doesnt_reset_cool_off_time",
                "test_login_during_lockout_does_reset_cool_off_time",
            ),
            "logs in so many times within half a second",
        ),
    ),
)
