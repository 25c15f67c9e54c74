-- Of each symbol and interval: the share of the expected bars, $due has how many, that are there, rounded down to two
-- decimals.
SELECT symbol, interval, scope, (due - missing) * 10000 // due / 100 AS quality, due - missing AS bars, gap_count,
       missing AS missing_bars
FROM (
  SELECT symbol, interval, scope, due, coalesce(ranges, 0) AS gap_count, coalesce(absent, 0) AS missing
  FROM $due LEFT JOIN (
    SELECT symbol, interval, scope, count(*) AS ranges, sum(bar_count) AS absent
    FROM gaps GROUP BY symbol, interval, scope) USING (symbol, interval, scope))
