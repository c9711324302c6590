"""Tests of this folder; see `tests/__init__.py`."""
