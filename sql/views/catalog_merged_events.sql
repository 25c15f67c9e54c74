-- Ticks or quotes of partitions that have several files: rows that are alike are as many as in the file with most.
SELECT $columns
FROM (SELECT $columns, row_number() OVER (PARTITION BY $columns, filename) AS occurrence FROM $rows)
GROUP BY $columns, occurrence
