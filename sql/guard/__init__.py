"""The local guard of SQL: a statement may read the tables, and nothing else."""
