"""How many requests a second does a small web application answer?

One WSGI application under gunicorn with two workers, each cache behind it in turn;
2,000 pages of 2 KiB with Zipf's law, each about a millisecond of work. wrk asks,
where it is installed, else a client in Python; both over the loopback device.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import accumulate
from pathlib import Path

import peers
import servers
from peers import Place
from runner import Figures, Scale, Skipped, interleaved, report, summaries

PAGES = 2000
CONNECTIONS = 16
HERE = Path(__file__).parent
OURS = "ours"
MODULES = {
    "no cache": "",
    "fastmmap": OURS,
    "dict": "dicts",
    "cachetools": "cachetools_lru",
    "warp_cache": "warp",
    "lmdb": "lmdb_map",
    "diskcache": "diskcache_sql",
    "Manager().dict()": "manager_dict",
    "memcached, pylibmc": "memcached_lib",
    "memcached, pymemcache": "memcached_pure",
    "Redis": "redis_server",
}
LEFT_OUT = {
    "shared-memory-dict": "each call copies all of its memory",
    "Cache::FastMmap": "it is not in Python",
    "APCu": "it is not in Python",
    "uWSGI cache": "it works under uWSGI only",
}
LUA = """
local paths = {%s}
local index = %d
request = function()
    index = index %% #paths + 1
    return wrk.format("GET", paths[index])
end
"""


def free_port() -> int:
    """Return a port of the loopback device that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def drawn_paths(count: int) -> list[str]:
    """Draw the pages that are asked for."""
    weights = list(accumulate(1 / (rank + 1) for rank in range(PAGES)))
    dice = random.Random(20240607)
    ranks = dice.choices(range(PAGES), cum_weights=weights, k=count)
    return [f"/page/{rank}" for rank in ranks]


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers; it may have died instead."""
    deadline = time.monotonic() + servers.START_LIMIT
    while True:
        try:
            get_pages(port, ["/page/0"])
            return
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("gunicorn does not answer") from None
            time.sleep(0.02)


@contextmanager
def gunicorn(place: Place, module: str) -> Iterator[int]:
    """Run the application; yield its port."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--workers", "2"]
    command += ["--bind", f"127.0.0.1:{port}"]
    command += ["--worker-class", "gthread", "--threads", "1", "--keep-alive", "60"]
    command += ["--config", "web_config.py", "--no-control-socket"]
    variables = {"BENCH_MODULE": module, "BENCH_PLACE": json.dumps(place._asdict())}
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(
        [*command, "web_app:application"],
        cwd=HERE,
        env={**os.environ, **variables},
        stdin=quiet,
        stdout=quiet,
        stderr=quiet,
    )
    try:
        wait_for(port, server)
        yield port
    finally:
        server.terminate()
        server.wait()


def get_pages(port: int, paths: list[str]) -> None:
    """Ask for pages over one connection."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for path in paths:
        client.request("GET", path)
        client.getresponse().read()
    client.close()


def ask_with_wrk(port: int, script: Path, seconds: float) -> float:
    """Return requests per second, asked for by wrk."""
    command = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{max(round(seconds), 1)}s"]
    command += ["-s", str(script), f"http://127.0.0.1:{port}"]
    printed = subprocess.check_output(command, text=True)
    if "Non-2xx" in printed:
        raise RuntimeError(printed)
    found = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    assert found is not None, printed
    return float(found[1])


def ask_with_python(port: int, paths: list[str], seconds: float) -> float:
    """Return requests per second, asked for by threads of this process."""
    done = [0] * 4
    begin = time.monotonic()

    def client(number: int) -> None:
        own = paths[number * 100 :] + paths[: number * 100]
        for first in range(0, len(own), 10):
            get_pages(port, own[first : first + 10])
            done[number] += 10
            if time.monotonic() - begin > seconds:
                return

    threads = [threading.Thread(target=client, args=(n,)) for n in range(len(done))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.monotonic() - begin)


def usable(place: Place, skipped: Skipped) -> dict[str, str]:
    """Return the modules of those caches that are installed, by name."""
    for name, reason in LEFT_OUT.items():
        skipped.note(name, reason)
    return {
        name: module
        for name, module in MODULES.items()
        if not module or peers.available(place, skipped, [module])
    }


def measure(scale: Scale, skipped: Skipped) -> Figures:
    """Return requests per second, by cache."""
    seconds, rounds = scale.pick((2.0, 4), (0.25, 1), (0.1, 1))
    paths = drawn_paths(scale.pick(20_000, 5000, 200))
    client = "wrk" if shutil.which("wrk") and scale.name != "smoke" else "Python"
    with ExitStack() as stack:
        place = stack.enter_context(servers.place())
        script = Path(place.file("wrk.lua"))
        script.write_text(LUA % (",".join(f'"{path}"' for path in paths), 0))
        cases = {}
        for name, module in usable(place, skipped).items():
            try:
                port = stack.enter_context(gunicorn(place, module))
                get_pages(port, paths[:1000] if module else paths[:1])
            except (RuntimeError, OSError) as error:
                if module == OURS:
                    raise
                skipped.note(name, f"its workers do not start: {error}")
                continue
            if client == "wrk":
                cases[(name,)] = partial(ask_with_wrk, port, script, seconds)
            else:
                cases[(name,)] = partial(ask_with_python, port, paths, seconds)
        samples = interleaved(cases, rounds)
    return report(scale, skipped, client=client, workers=2, results=summaries(samples))
