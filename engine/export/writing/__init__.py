"""Exports on their way out: where they are written, and what that costs."""
