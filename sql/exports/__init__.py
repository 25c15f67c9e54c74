"""SQL over exports on disk."""
