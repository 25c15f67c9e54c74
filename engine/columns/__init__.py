"""Column work over all symbols at once: buckets, derivation, gaps, quality, metrics, indicators; no I/O, no clock."""
