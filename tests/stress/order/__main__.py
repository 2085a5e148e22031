"""The order of write-back: workers are killed, and the store must end right.

    python tests/stress/order [--seconds 3600] [--workers 4] [--seed N]
                              [--output FILE]

Processes of two threads share a small write-back cache and a store that is slow
at random. Each thread has keys of its own, which it sets, changes and removes;
all flush, evict and expire everybody's. Values lie in one piece, in parts, or do
not fit at all. Meanwhile workers are killed at random and replaced.

What must hold, at any time (see `store.py` and `owner.py`):

- one caller in all processes tells the store of a key;
- no version reaches the store after a newer one;
- its owner reads the newest state of a key that was acknowledged, out of the
  cache or, by way of ``read_cb``, out of the store: so no changed value was
  lost, and nothing that was removed came back;
- after a last flush the store has the newest state of each key.

Exits with 1 if anything did not.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from supervisor import Supervisor


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--sabotage", choices=("silent", "forget"))
    parser.add_argument("--output", metavar="FILE")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="fastmmap-order-") as folder:
        supervisor = Supervisor(Path(folder), options.workers, options.seed)
        supervisor.sabotage = options.sabotage
        results = supervisor.run(options.seconds)
    for line in results["violations"]:
        print(line, file=sys.stderr)
    counts = {name: count for name, count in results.items() if name != "violations"}
    counts["violations"] = len(results["violations"])
    print("order:", ", ".join(f"{count} {name}" for name, count in counts.items()))
    if options.output:
        date = datetime.now(timezone.utc).isoformat(timespec="seconds")
        facts = {"date": date, "python": sys.version.split()[0], **counts}
        text = json.dumps(facts, indent=2, sort_keys=True) + "\n"
        Path(options.output).write_text(text)
    return 1 if results["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
