-- Ticks or quotes of a catalog, of all dates; each could be known at its own instant.
SELECT *, $session_date AS session_date, timestamp AS available_at
FROM $rows
WHERE $which
