"""Inputs: the forms people fill in, by room; what they are made of is in `fields`."""

from portal.web.inputs import account, decisions, fields, money, people, program, sharing

__all__ = ["account", "decisions", "fields", "money", "people", "program", "sharing"]
