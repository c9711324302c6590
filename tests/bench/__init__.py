"""Benches: `python tests/bench/<name>.py` prints figures. Not collected as tests; the goals stand in docs/figures.md."""
