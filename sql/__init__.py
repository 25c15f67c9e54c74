"""DuckDB over a live snapshot, over exports and over the catalog. The only folder that imports duckdb."""
