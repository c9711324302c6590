"""Database, clock, money, text: the ground the rooms stand on. Knows none of our words."""
