"""A page for operators: what is in caches, and what happens there, live.

``fastmmap web`` serves it. `WsgiApplication` and `AsgiApplication` are the same page,
to be mounted behind the login of an application; `Pages` answers single requests, for
all other frameworks.
"""

from fastmmap.web.application import Pages
from fastmmap.web.asgi import AsgiApplication
from fastmmap.web.messages import Request, Response
from fastmmap.web.wsgi import WsgiApplication

__all__ = ["AsgiApplication", "Pages", "Request", "Response", "WsgiApplication"]
