"""A columnar in-memory engine that holds the whole state of a trading session."""
