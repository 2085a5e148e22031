"""gunicorn for real, with Flask-Limiter: four workers let pass what one would."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path

import pytest
from serving import LIMIT, Answer, Server, eventually, gunicorn

WORKERS = 4
CLIENTS = 4
REQUESTS = 60

pytestmark = [pytest.mark.once, pytest.mark.long]


def answers_of(server: Server) -> list[Answer]:
    """Ask with all clients at once until each worker has answered, and beyond 40."""
    answers: list[Answer] = []

    def enough() -> bool:
        asked = {answer.pid for answer in answers}
        return len(answers) >= REQUESTS and asked == server.workers()

    def ask() -> None:
        end = time.monotonic() + LIMIT
        while not enough() and time.monotonic() < end:
            answers.append(server.ask("/"))

    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert enough()
    return answers


@pytest.mark.parametrize("strategy", ["fixed-window", "moving-window"])
def test_of_all_workers_exactly_as_many_requests_pass_as_may(strategy: str) -> None:
    kind = gunicorn("sync", "sync").with_options("--workers", str(WORKERS))
    command = tuple(
        part.replace("application:wsgi", "limited:app") for part in kind.command
    )
    with tempfile.TemporaryDirectory() as folder:
        server = Server(kind._replace(command=command), Path(folder), strategy)
        try:
            eventually(lambda: len(server.workers()) == WORKERS, "four workers")
            eventually((Path(folder) / "socket").exists, "it listens")
            passed = [answer.result for answer in answers_of(server)].count(True)
        finally:
            server.end()
        assert passed == 40, server.log()
