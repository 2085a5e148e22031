"""A backend for Flask-Caching.

``CACHE_TYPE`` is its dotted name, ``CACHE_OPTIONS`` are the options of
`FastMmap`, ``share_file`` among them.
"""

from typing import Any

from fastmmap.contrib.requirement import require

require("Flask-Caching", "2.3", extra="flask-caching")

from flask_caching.backends.base import BaseCache

from fastmmap.contrib import cachelib


class FastMmapCache(cachelib.FastMmapCache, BaseCache):
    """The cache of `fastmmap.contrib.cachelib`, as Flask-Caching makes it."""

    @classmethod
    def factory(
        cls, app: Any, config: dict[str, Any], args: list[Any], kwargs: dict[str, Any]
    ) -> "FastMmapCache":
        """Make the backend of an application; Flask-Caching calls it.

        ``CACHE_KEY_PREFIX`` is put before every key.
        """
        return cls(*args, key_prefix=config["CACHE_KEY_PREFIX"] or "", **kwargs)
