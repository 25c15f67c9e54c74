-- What each symbol did in the session, as the last export tells it.
SELECT *, $session_date AS session_date
FROM ($last)
