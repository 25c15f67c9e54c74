"""The catalog: bars, ticks and quotes as Hive-partitioned Parquet; imports, synthetic data, verification."""
