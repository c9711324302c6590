"""Payouts: how people want to be paid, the batches that pay them, and the files for banks. People leave here."""
