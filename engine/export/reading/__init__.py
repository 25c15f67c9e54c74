"""Exports read back: loading any format, checking it against the contract, replaying a chain."""
