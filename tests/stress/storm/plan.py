"""What one storm is to do."""

from __future__ import annotations

from dataclasses import dataclass

from .modes import MODES, Mode


@dataclass(frozen=True)
class Plan:
    """One mode on one store. It ends after `seconds` or `kills`, 0 for no limit."""

    mode_name: str
    store: str = "fastmmap"
    seconds: float = 3.0
    kills: int = 0
    seed: int = 0
    writers: int = 5
    threads: int = 2
    readers: int = 1
    #: Seconds between two kills, on average.
    gap: float = 0.005
    #: Seconds that a wait may last before it is a hang.
    patience: float = 10.0
    sabotage: str = ""

    @property
    def mode(self) -> Mode:
        """Return what is done to the store."""
        return MODES[self.mode_name]

    @property
    def lanes(self) -> int:
        """Return the number of lanes: threads, and one of forked children each."""
        return self.writers * (self.threads + self.mode.forks)
