"""fastmmap metrics, and the collector for Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Run, command, environment
from support import MakeCache

from fastmmap import FastMmap

prometheus_client = pytest.importorskip("prometheus_client")

from fastmmap.contrib import prometheus as adapter  # noqa: E402  # after what skips
from fastmmap.contrib.prometheus import Collector  # noqa: E402  # after what skips

pytestmark = pytest.mark.once

PAGES = Path(__file__).resolve().parents[2] / "docs" / "integrations"


def tool(name: str) -> str:
    """Return a program of Prometheus, or skip the test."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def sample(text: str, name: str) -> float:
    """Return the value of the only sample of that name."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name}{{")]
    return float(line.rpartition(" ")[2])


@pytest.fixture
def counted(make_cache: MakeCache) -> FastMmap:
    """Return a cache with 10 values, read 8 times with 6 hits."""
    cache = make_cache(enable_stats=True)
    for number in range(10):
        cache[f"key {number}"] = number
    for number in range(4, 12):
        cache.get(f"key {number}")
    return cache


def test_metrics_are_those_of_the_file(counted: FastMmap, path: str, run: Run) -> None:
    text = run("metrics", path).stdout.decode()
    assert sample(text, "fastmmap_entries") == 10
    assert sample(text, "fastmmap_reads_total") == 8
    assert sample(text, "fastmmap_hits_total") == 6
    assert sample(text, "fastmmap_stores_total") == 10
    assert sample(text, "fastmmap_size_bytes") == counted.stats().bytes_total
    assert f'file="{path}"' in text


def test_promtool_finds_no_fault(counted: FastMmap, path: str, run: Run) -> None:
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"],
        input=run("metrics", path).stdout,
        capture_output=True,
    )
    assert done.returncode == 0 and not done.stdout + done.stderr, done.stderr


def test_metrics_of_all_caches_of_the_host(counted: FastMmap, path: str) -> None:
    done = subprocess.run(command("metrics"), env=environment(), capture_output=True)
    assert f'file="{path}"'.encode() in done.stdout


def test_a_file_is_written_for_the_textfile_collector(
    counted: FastMmap, path: str, tmp_path: Path, run: Run
) -> None:
    output = tmp_path / "fastmmap.prom"
    assert run("metrics", path, "--output", str(output)).stdout == b""
    assert sample(output.read_text(), "fastmmap_entries") == 10


def test_a_file_that_cannot_be_read_is_left_out_with_a_word(
    counted: FastMmap, path: str, run: Run
) -> None:
    done = run("metrics", path, path + ".none", status=1)
    assert b".none" in done.stderr
    assert sample(done.stdout.decode(), "fastmmap_entries") == 10


def test_a_hostile_path_is_escaped(make_cache: MakeCache, path: str, run: Run) -> None:
    hostile = path + '"\n\udc80'
    make_cache(share_file=hostile, cache_size="512k")
    text = run("metrics", hostile).stdout.decode()
    assert '\\"\\n\\\\udc80"' in text


def test_a_collector_answers_for_caches_and_namespaces(counted: FastMmap) -> None:
    registry = prometheus_client.CollectorRegistry()
    registry.register(Collector(counted.namespace("n")))
    labels = {"file": counted.share_file}
    assert registry.get_sample_value("fastmmap_hits_total", labels) == 6
    counted["more"] = 1
    assert registry.get_sample_value("fastmmap_stores_total", labels) == 11


def test_a_cache_that_was_closed_is_left_out(counted: FastMmap) -> None:
    registry = prometheus_client.CollectorRegistry()
    registry.register(Collector(find=lambda: [counted]))
    labels = {"file": counted.share_file}
    assert registry.get_sample_value("fastmmap_hits_total", labels) == 6
    counted.close()
    assert registry.get_sample_value("fastmmap_hits_total", labels) is None


def test_all_workers_say_the_same_in_multi_process_mode(
    counted: FastMmap, path: str, tmp_path: Path
) -> None:
    scrape = f"""
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
from fastmmap import FastMmap
from fastmmap.contrib.prometheus import Collector
with FastMmap({path!r}) as cache:
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    registry.register(Collector(cache))
    print(generate_latest(registry).decode())
"""
    told = {
        subprocess.run(
            [command()[0], "-c", scrape],
            env=environment(PROMETHEUS_MULTIPROC_DIR=str(tmp_path)),
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for _ in range(2)
    }
    (text,) = told
    assert sample(text, "fastmmap_hits_total") == 6


def test_the_page_and_the_dashboard_name_the_metrics_that_there_are() -> None:
    there = {family.name for family in adapter.families({})}
    board = json.loads((PAGES / "grafana.json").read_text("utf-8"))
    asked = set(re.findall(r"fastmmap_\w+", json.dumps(board["panels"])))
    assert {name.removesuffix("_total") for name in asked} <= there
    page = (PAGES / "prometheus.rst").read_text("utf-8")
    told = set(re.findall(r"^``(fastmmap_\w+)``", page, re.M))
    assert {name.removesuffix("_total") for name in told} == there


# ---------------------------------------------------------- a real Prometheus


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def prometheus(tmp_path: Path, counted: FastMmap) -> Iterator[str]:
    """Start a Prometheus that scrapes this process; return its address."""
    program = tool("prometheus")
    registry = prometheus_client.CollectorRegistry()
    registry.register(Collector(counted))
    server, thread = prometheus_client.start_http_server(
        0, addr="127.0.0.1", registry=registry
    )
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs: [{job_name: test, static_configs: "
        f"[{{targets: ['127.0.0.1:{server.server_port}']}}]}}]\n"
    )
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address={address}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield address
    finally:
        process.terminate()
        process.wait()
        server.shutdown()
        thread.join()
        server.server_close()


def ask(address: str, query: str) -> str:
    """Return what Prometheus answers by now; "" while it does not."""
    try:
        url = f"http://{address}/api/v1/query?query={query}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            text: str = answer.read().decode()
            return text
    except OSError:
        return ""


def test_a_real_prometheus_scrapes_it(prometheus: str) -> None:
    ends = time.monotonic() + 60
    while '"6"' not in ask(prometheus, "fastmmap_hits_total"):
        assert time.monotonic() < ends
        time.sleep(0.2)
    assert '"8"' in ask(prometheus, "fastmmap_reads_total")
