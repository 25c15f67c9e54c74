-- Stands for a file that cannot be read: who rules out its interval or date never runs it, anyone else gets $message. The
-- limit keeps every other condition from being asked first, and nobody can tell the values of random() beforehand.
SELECT $columns
FROM (SELECT random() AS x FROM range(1) AS once(n) WHERE error($message || substr(CAST(n AS VARCHAR), 2)) IS NULL LIMIT 1)
