"""What a session is at one instant, as immutable values: the staged day, the history, the snapshot of both."""
