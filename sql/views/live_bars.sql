-- Bars of one interval of the current session, or of the sessions before it. $source is the Arrow table of the rows
-- where they lie in the engine, of a staged day those of its future too: $visible keeps what is known by now.
SELECT symbol, '$interval' AS interval, timestamp, session_date, open, high, low, close, volume,
       $generated AS generated, n_base, n_expected, revision, available_at
FROM $source
WHERE $visible
