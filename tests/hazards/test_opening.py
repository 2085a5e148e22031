"""Many processes open, create, replace and unlink one path at once.

Sixty here; the race of two hundred is a step of `make ci`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RACE = Path(__file__).parent.parent / "stress" / "opening.py"


def test_sixty_processes_race_for_one_path() -> None:
    done = subprocess.run(
        [sys.executable, RACE, "--processes", "60"],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
