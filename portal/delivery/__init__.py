"""Delivery: carries messages out and runs the jobs it is handed. Knows only the ground, none of our words."""
