"""``python -m fastmmap`` is the command ``fastmmap``."""

from fastmmap.cli.program import entry_point

if __name__ == "__main__":
    entry_point()
