"""SQL over a running session's snapshots."""
