"""Benches: `python tests/bench/<name>.py` prints figures. Not collected as tests; docs/figures.md has the goals."""
