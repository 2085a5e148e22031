"""The page itself: one file, with its style and its scripts, and what it may do."""

import base64
import hashlib
import html
from importlib import resources
from typing import NamedTuple

_STYLES = ("page.css",)
_SCRIPTS = ("base.js", "chart.js", "map.js", "panels.js", "actions.js", "page.js")
#: Stands in the page where its token belongs.
_TOKEN = "{{token}}"


class Page(NamedTuple):
    """The page, and the policy that lets it run what is its own and nothing else."""

    text: str
    policy: str

    def with_token(self, token: str) -> bytes:
        """Return it with the token that writes need; "": it only looks."""
        return self.text.replace(_TOKEN, html.escape(token)).encode()


def _read(names: tuple[str, ...]) -> str:
    folder = resources.files("fastmmap.web") / "static"
    return "\n".join((folder / name).read_text("utf-8") for name in names)


def _hash_of(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def page() -> Page:
    """Put the page together."""
    style, script = _read(_STYLES), _read(_SCRIPTS)
    text = _read(("page.html",))
    text = text.replace("{{style}}", style).replace("{{script}}", script)
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src {_hash_of(style)}",
            f"script-src {_hash_of(script)}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )
    return Page(text, policy)
