"""Faults in the middle of things: a statement that fails, a locked database, a full disk, a cut connection."""
