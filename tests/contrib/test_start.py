"""The programs of docs/start.rst run, and do what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "start.rst").read_text("utf-8")
OTHERS = [
    ROOT / "docs" / "redis.rst",
    *ROOT.glob("docs/integrations/*.rst"),
    *ROOT.glob("examples/*.py"),
]
SIZE = r"cache_size\W+(\d+)m\b"
#: MiB that a container of Docker has in /dev/shm, and what a file takes besides: a
#: header, and the table of processes when it is full.
GIVEN, BESIDE = 64, 1.25
CAPTIONED = r"code-block:: python\n    :caption: (.+)\n\n((?:    .*\n|\n)+)"

FLASK = """
from flask_site import app

client = app.test_client()
print(client.get("/reports/2024").text.strip())
print(client.post("/reports/2024/refresh").status_code)
"""
DJANGO = """
import django
from django.conf import settings

from mysite.settings import CACHES

hosts = ["testserver"]
settings.configure(ROOT_URLCONF="mysite.urls", ALLOWED_HOSTS=hosts, CACHES=CACHES)
django.setup()

from django.test import Client

for _ in range(2):
    print(Client().get("/report").content.decode())
"""
FASTAPI = """
import asyncio

import httpx

from fastapi_site import app


async def main():
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        print((await client.get("/reports/2024")).text)


asyncio.run(main())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a directory with the programs of the page; their files lie there, too."""
    for name, block in re.findall(CAPTIONED, TEXT):
        program = textwrap.dedent(block).replace("/dev/shm", str(tmp_path))
        (tmp_path / name).write_text(program.replace("sleep(2)", "sleep(0.01)"))
    return tmp_path


def run(folder: Path, *arguments: str) -> str:
    """Run Python in the directory of the programs; return what it printed."""
    command = [sys.executable, "-W", "error", *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown(after: str, directive: str) -> str:
    """Return the first block of its kind after these words of the page."""
    rest = TEXT.partition(after)[2].partition(f"code-block:: {directive}\n\n")[2]
    lines = re.match(r"(?:    .*\n|\n)+", rest)
    assert lines is not None
    return textwrap.dedent(lines[0]).strip() + "\n"


def test_a_second_run_finds_what_the_first_has_computed(folder: Path) -> None:
    printed = "".join(
        f"$ python square.py\n{run(folder, 'square.py')}" for _ in range(2)
    )
    assert printed == shown("Run it twice", "console")


def test_the_plain_calls_print_what_the_page_says(folder: Path) -> None:
    assert run(folder, "store.py") == shown("It prints", "text")


def test_flask_answers_what_the_page_says(folder: Path) -> None:
    answer, status = run(folder, "-c", FLASK).splitlines()
    assert answer == shown("Flask\n---", "console").splitlines()[-1]
    assert status == "204"


def test_django_computes_the_report_once(folder: Path) -> None:
    project = folder / "mysite"
    project.mkdir()
    for name in ("settings.py", "urls.py", "views.py"):
        (folder / name).rename(project / name)
    views = project / "views.py"
    views.write_text(views.read_text().replace("time.sleep", "print"))
    report = shown("start the site", "console").splitlines()[-1]
    assert run(folder, "-c", DJANGO).splitlines() == ["0.01", report, report]


def test_fastapi_answers_what_the_page_says(folder: Path) -> None:
    answer = shown("FastAPI\n---", "console").splitlines()[-1]
    assert run(folder, "-c", FASTAPI) == answer + "\n"


def test_every_program_of_the_page_is_run() -> None:
    plain, sites = {"square.py", "store.py"}, {"flask_site.py", "fastapi_site.py"}
    assert {name for name, _ in re.findall(CAPTIONED, TEXT)} == {
        *plain,
        *sites,
        "settings.py",
        "urls.py",
        "views.py",
    }


def test_all_caches_of_the_page_fit_into_what_docker_gives() -> None:
    sizes = re.findall(SIZE, TEXT)
    assert len(sizes) == 5
    assert sum(int(size) + BESIDE for size in sizes) < GIVEN


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.name)
def test_a_cache_of_a_page_or_example_fits_into_it(page: Path) -> None:
    for size in re.findall(SIZE, page.read_text("utf-8")):
        assert int(size) + BESIDE < GIVEN
