"""Run the storm: `python tests/stress/storm --help`."""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from storm.cli import main

sys.exit(main())
