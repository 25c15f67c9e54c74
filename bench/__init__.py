"""Benchmarks: `python -m bench` runs them all, `python -m bench session` one; each prints a table with its targets."""
