-- Bars of the current session and of those before, in their latest revision. $session is session_bars, or where late
-- or corrected rows came, what latest_revision.sql makes of it.
SELECT * FROM $historical
UNION ALL
SELECT * FROM $session
