"""Signatures and help of everything public."""

from __future__ import annotations

import inspect
import os
import pydoc
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest

import fastmmap
import fastmmap.testing
from fastmmap import FastMmap

CONTRACT = {
    "get": "(key, default=None, *, touch=None)",
    "ttl": "(key)",
    "persist": "(key)",
    "iter_prefix": "(prefix)",
    "delete_prefix": "(prefix)",
    "get_entry": "(key)",
    "set": ("(key, value, expire_time=None, *, expire_on=None, modseq=None, tags=())"),
    "get_and_set": "(key, func)",
    "lock": "(key, timeout=None)",
    "exists": "(key)",
    "remove": "(key, *, modseq=None, expire_time=None, expire_on=None)",
    "get_and_remove": "(key, default=None)",
    "expire": "(key)",
    "clear": "()",
    "purge": "()",
    "empty": "(only_expired=False)",
    "flush": "()",
    "get_keys": "(mode=0)",
    "get_statistics": "(clear=False)",
    "multi_get": "(page_key, keys)",
    "multi_set": "(page_key, mapping, expire_time=None, *, expire_on=None)",
    "incr": "(key, delta=1, *, initial=0, expire_time=None)",
    "decr": "(key, delta=1, *, initial=0, expire_time=None)",
    "touch": "(key, expire_time=None, *, expire_on=None)",
    "get_many": "(keys)",
    "delete_many": "(keys)",
    "get_or_set": (
        "(key, default, expire_time=None, *, timeout=None, lease_time=60, tags=())"
    ),
    "get_or_set_async": (
        "(key, default, expire_time=None, *, timeout=None, lease_time=60, tags=())"
    ),
    "memoize": (
        "(first=None, *, expire_time=None, key=None, ignore=(), typed=False, "
        "name=None, version=None, negative=None, early=0.0, stale=0, "
        "stale_on_error=0, cache_exceptions=(), "
        "timeout=None, lease_time=60, tags=(), copy=True, **unexpected)"
    ),
    "namespace": "(name)",
    "invalidate_tag": "(tag)",
    "stats": "()",
    "clients": "()",
    "check": "()",
    "close": "()",
}

OPTIONS = {
    "share_file": None,
    "init_file": False,
    "test_file": False,
    "on_mismatch": "error",
    "permissions": 0o600,
    "unlink_on_exit": None,
    "empty_on_exit": False,
    "cache_size": None,
    "reserve": True,
    "page_size": None,
    "num_pages": None,
    "start_slots": None,
    "entry_size": 200,
    "serializer": "pickle",
    "raw_values": None,
    "compressor": None,
    "compress": None,
    "compress_min_size": 256,
    "expire_time": 0,
    "tombstone_expire_time": 0,
    "enable_stats": False,
    "near": None,
    "copy": True,
    "context": None,
    "read_cb": None,
    "write_cb": None,
    "delete_cb": None,
    "cache_not_found": False,
    "write_action": "write_through",
    "allow_recursive": False,
    "lock_timeout": None,
    "read_only": False,
    "allow_shared": False,
    "allow_network_fs": False,
    "sigbus_guard": False,
}

NAMES = [
    "register_argument",
    "FastMmap",
    "Namespace",
    "Entry",
    "NamespaceStats",
    "Store",
    "KEEP",
    "Stats",
    "CheckReport",
    "ResizeReport",
    "Client",
    "Error",
    "FormatError",
    "VersionError",
    "CorruptError",
    "LockError",
    "LockTimeout",
    "ClosedError",
]


def plain(signature: inspect.Signature) -> str:
    """Return a signature without self and annotations."""
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    # Methods in C may take self, or all of it, by position only.
    return re.sub(r"/(, )?", "", str(inspect.Signature(parameters))).replace(", )", ")")


def public_methods() -> Iterator[tuple[str, Any]]:
    for name in dir(FastMmap):
        member = inspect.getattr_static(FastMmap, name)
        if not name.startswith("_"):
            yield name, member


@pytest.mark.quick
@pytest.mark.parametrize("name", NAMES)
def test_public_names_are_importable_and_listed(name: str) -> None:
    assert hasattr(fastmmap, name)
    assert name in fastmmap.__all__


def test_nothing_else_is_listed_that_is_not_there() -> None:
    assert all(hasattr(fastmmap, name) for name in fastmmap.__all__)
    assert len(set(fastmmap.__all__)) == len(fastmmap.__all__)


@pytest.mark.quick
@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_signatures_are_those_of_the_contract(name: str) -> None:
    assert plain(inspect.signature(getattr(FastMmap, name))) == CONTRACT[name]


@pytest.mark.parametrize("name", ["add", "replace", "set_many"])
def test_conditional_and_multiple_stores_take_lifetimes_and_tags(name: str) -> None:
    parameters = inspect.signature(getattr(FastMmap, name)).parameters
    assert {"expire_time", "expire_on", "tags"} <= set(parameters)


@pytest.mark.quick
def test_the_options_and_their_defaults_are_those_of_the_contract() -> None:
    parameters = inspect.signature(FastMmap).parameters
    found = {name: parameter.default for name, parameter in parameters.items()}
    assert found.pop("catch_deadlocks") in (False, None)
    assert found == OPTIONS
    kinds = {name: parameter.kind for name, parameter in parameters.items()}
    assert kinds.pop("share_file") is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert set(kinds.values()) == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(
    ("name", "member"), list(public_methods()), ids=lambda each: str(each)[:20]
)
def test_every_method_and_attribute_explains_itself(name: str, member: Any) -> None:
    text = inspect.getdoc(member) or inspect.getdoc(getattr(FastMmap, name))
    assert text and len(text.splitlines()[0]) > 9, name
    assert text[0].isupper() or name in ("update", "keys", "pop", "setdefault"), name


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_every_call_of_the_contract_says_what_it_returns(name: str) -> None:
    text = inspect.getdoc(getattr(FastMmap, name)) or ""
    first = text.splitlines()[0]
    assert first.endswith((".", ";", ":")) or len(text.splitlines()) > 1
    assert "Return" in text or name in ("clear", "close"), text


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_explains_itself(name: str) -> None:
    assert name == "KEEP" or inspect.getdoc(getattr(fastmmap, name))


def test_time_travel_explains_itself() -> None:
    assert inspect.getdoc(fastmmap.testing.time_travel)


def test_help_runs_over_the_whole_class() -> None:
    text = pydoc.plain(pydoc.render_doc(FastMmap))
    assert "get_and_set" in text and "read_cb" in text


def test_the_package_is_typed() -> None:
    files = {entry.name for entry in resources.files("fastmmap").iterdir()}
    assert {"py.typed", "_core.pyi"} <= files


def test_hot_methods_are_not_wrapped_in_python() -> None:
    for name in ("get", "set", "exists", "remove", "incr", "add", "get_many"):
        assert not inspect.isfunction(inspect.getattr_static(FastMmap, name)), name
    for name in ("__getitem__", "__setitem__", "__delitem__", "__contains__"):
        assert not inspect.isfunction(getattr(FastMmap, name)), name


def test_importing_pulls_in_nothing_optional() -> None:
    code = "import sys, fastmmap; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))},
    )
    loaded = set(done.stdout.split())
    assert "fastmmap" in loaded, done.stderr
    for name in ("lz4", "zstandard", "cramjam", "msgpack", "multiprocessing", "ctypes"):
        assert name not in loaded
