-- Bars of a catalog: one scan over its Hive partitions, of which only those are opened whose interval and date a query
-- asks for. $which tells the session's bars from historical ones by the date. $available_at is the bar's end, or the
-- close that cuts it short, looked up in lists with an entry per date.
SELECT symbol, interval, timestamp, $session_date AS session_date, open, high, low, close, volume,
       false AS generated, 1 AS n_base, 1 AS n_expected, 0 AS revision, $available_at AS available_at
FROM $rows
WHERE $which
