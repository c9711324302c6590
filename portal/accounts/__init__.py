"""People: who they are, what they may do, where they are signed in, and what was done by whom."""
