"""The storm: writers killed at random instants, and a journal that knows."""
