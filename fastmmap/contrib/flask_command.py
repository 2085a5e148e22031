"""``flask fastmmap``: the command, on the file of the application's cache.

Flask finds it by its entry point, whatever the application is.
"""

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from fastmmap.cli import program
from fastmmap.contrib.shared import Opening


def _openings(app: Flask) -> list[Opening]:
    """Return what the backends of Flask-Caching and Flask-Session open."""
    caches = app.extensions.get("cache")
    backends = [*caches.values()] if isinstance(caches, dict) else []
    backends.append(app.config.get("SESSION_CACHELIB"))
    found = [getattr(backend, "_opening", None) for backend in backends]
    return [one for one in found if isinstance(one, Opening)]


def _path_of(app: Flask) -> str:
    """Return the path of the application's cache. Raises UsageError."""
    paths = sorted({opening.share_file for opening in _openings(app)})
    if not paths:
        raise click.UsageError("the application has no cache of fastmmap")
    if len(paths) > 1:
        names = ", ".join(paths)
        raise click.UsageError(f"it has several caches: `fastmmap` takes {names}")
    return paths[0]


@click.command(
    "fastmmap",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("name", metavar="COMMAND", type=click.Choice(program.ON_ONE_FILE))
@click.argument("rest", nargs=-1, type=click.UNPROCESSED)
@with_appcontext
def command(name: str, rest: tuple[str, ...]) -> None:
    """Look at the file of the cache: info, top, keys, clear, web, and others."""
    status = program.main([name, _path_of(current_app), *rest])
    if status:
        raise SystemExit(status)
