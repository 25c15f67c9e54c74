"""Time, log, session data, derivation, quality, threads, exports and the catalog."""
