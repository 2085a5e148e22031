"""``manage.py fastmmap``, and what ``manage.py check`` says of caches."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.apps import apps
from django.conf import settings
from django.core.cache import caches
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.test import override_settings

from fastmmap.contrib.django_app.checks import check_caches

BACKEND = "fastmmap.contrib.django.FastMmapCache"
APP = "fastmmap.contrib.django_app"

pytestmark = pytest.mark.once


def entry(path: str, **options: Any) -> dict[str, Any]:
    return {"BACKEND": BACKEND, "LOCATION": path, "OPTIONS": options}


@pytest.fixture(autouse=True)
def installed(path: str) -> Iterator[None]:
    """Let the application be installed, and the test's file be the default cache."""
    if not settings.configured:
        settings.configure(SECRET_KEY="for tests", USE_TZ=True)
        django.setup()
    both = {
        "default": entry(path, cache_size="1m"),
        "local": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    }
    with override_settings(INSTALLED_APPS=[APP], CACHES=both):
        assert apps.is_installed(APP)
        yield


def warnings(deploy: bool = False, **caches: dict[str, Any]) -> list[str]:
    """Return the ids of what is wrong with caches."""
    with override_settings(CACHES={"default": entry("/dev/shm/none.cache"), **caches}):
        found = run_checks(tags=["caches"], include_deployment_checks=deploy)
    return [str(one.id) for one in found if str(one.id).startswith("fastmmap.")]


def test_the_command_looks_at_the_file_of_an_alias(
    capfd: pytest.CaptureFixture[str], path: str
) -> None:
    caches["default"].set("key", "value")
    call_command("fastmmap", "info")
    assert path in capfd.readouterr().out
    call_command("fastmmap", "keys", "--prefix", ":1:")
    assert ":1:key" in capfd.readouterr().out
    call_command("fastmmap", "clear", "--yes")
    assert caches["default"].get("key") is None


def test_the_command_ends_as_the_other_does(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("fastmmap", "info")
    assert ended.value.code == 2  # it makes no file
    caches["default"].set("key", "value")
    with pytest.raises(SystemExit) as ended:
        call_command("fastmmap", "get", "nothing")
    assert ended.value.code == 1


def test_only_caches_of_ours_will_do() -> None:
    with pytest.raises(CommandError, match="is not a cache of fastmmap"):
        call_command("fastmmap", "--cache", "local", "info")


def test_a_file_under_tmp_is_warned_of_before_deployment() -> None:
    tmp = entry("/tmp/site.cache", cache_size="1m")
    assert warnings(default=tmp) == []
    assert warnings(deploy=True, default=tmp) == ["fastmmap.W004"]
    assert warnings(deploy=True, default=entry("/dev/shm/site.cache")) == []
    assert warnings(deploy=True, default=entry("")) == ["fastmmap.W003"]


def test_a_size_beyond_the_file_system_is_warned_of() -> None:
    assert warnings(default=entry("/dev/shm/none.cache", cache_size="900g")) == [
        "fastmmap.W002"
    ]


def test_the_default_size_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    none_left = os.statvfs_result((4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: none_left)
    assert warnings(default=entry("/dev/shm/none.cache")) == ["fastmmap.W002"]


def test_the_file_in_front_of_a_server_is_checked_and_shown(
    capfd: pytest.CaptureFixture[str], path: str
) -> None:
    pytest.importorskip("redis")
    tiered = {
        "BACKEND": "fastmmap.contrib.django.TieredCache",
        "LOCATION": "redis://127.0.0.1:1/0",
        "OPTIONS": {"share_file": path},
    }
    caches["default"].set("key", "value")
    with override_settings(CACHES={"default": tiered}):
        call_command("fastmmap", "info")
    assert path in capfd.readouterr().out
    found = {**tiered, "OPTIONS": {"share_file": "/tmp/site.cache"}}
    assert warnings(deploy=True, default=found) == ["fastmmap.W004"]


def test_a_file_of_another_user_is_warned_of(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches["default"].set("key", "value")
    assert warnings(default=entry(path)) == []
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert warnings(default=entry(path)) == ["fastmmap.W001"]


def test_what_django_refuses_is_left_to_it() -> None:
    odd = {"default": {"BACKEND": "no.such.Backend"}, "other": {}}
    with override_settings(CACHES={**odd, "ours": entry("x", cache_size="nonsense")}):
        assert check_caches() == []


def test_checks_make_no_file(path: str) -> None:
    run_checks(include_deployment_checks=True)
    assert not os.path.exists(path)
    assert "fastmmap.contrib.django_app.apps" in sys.modules
