"""Rewards: goals and rules, conversions and refunds, signals, the ledger, and the decisions about each reward."""
