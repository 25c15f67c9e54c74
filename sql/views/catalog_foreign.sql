-- Files of somebody else, whose timestamps are of another type. Without a zone they are UTC, as the engine reads them;
-- DuckDB by itself would take them for times of the session's zone.
SELECT * REPLACE ($instant AS timestamp) FROM $rows
