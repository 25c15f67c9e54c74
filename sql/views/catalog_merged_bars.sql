-- Bars of partitions that have several files: of one bar the row the engine takes, that of $winner, else of the last file
-- by name.
SELECT $columns
FROM $rows
QUALIFY row_number() OVER (PARTITION BY interval, date, symbol, timestamp
                           ORDER BY parse_filename(filename) = '$winner' DESC, filename DESC, file_row_number DESC) = 1
