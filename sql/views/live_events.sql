-- Ticks or quotes of the current session. $visible keeps what is known by now.
SELECT *
FROM $source
WHERE $visible
