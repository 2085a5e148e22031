"""An application whose requests are limited for all workers, by Flask-Limiter.

An answer is JSON: the worker's process, and whether the request passed.
"""

from __future__ import annotations

import os
from typing import Any

from flask import Flask
from flask_limiter import Limiter

import fastmmap.contrib.limits  # noqa: F401  (registers the scheme)

ALLOWED = "40/hour"

app = Flask(__name__)
limiter = Limiter(
    lambda: "everybody",
    app=app,
    storage_uri=f"fastmmap://{os.environ['SERVED_FOLDER']}/cache?cache_size=1m",
    strategy=os.environ["SERVED_ROLE"],
)


@app.route("/")
@limiter.limit(ALLOWED)
def passes() -> list[Any]:
    return [os.getpid(), True]


@app.errorhandler(429)
def refused(error: Exception) -> list[Any]:
    return [os.getpid(), False]
