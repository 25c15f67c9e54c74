"""SQL over the catalog's Parquet files."""
