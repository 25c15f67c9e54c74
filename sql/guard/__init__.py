"""The guard of local SQL: which statements may run."""
