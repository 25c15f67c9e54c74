-- When bars of one interval are, of the sessions that $which keeps.
SELECT symbol, timestamp, $session_date AS session_date
FROM $rows
WHERE $which
