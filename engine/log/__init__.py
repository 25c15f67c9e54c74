"""The append-only log: immutable segments, the schedule that reveals their rows, and views that are row counts."""
