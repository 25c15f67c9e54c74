"""An export as Arrow tables: their schemas, and the rows and figures each carries."""
