-- Of each symbol and interval of the session: the share of expected bars that are there, rounded down to two decimals.
WITH due AS (SELECT interval, count(*) AS bars FROM $expected GROUP BY interval),
     present AS (
       SELECT symbol, interval, count(DISTINCT timestamp) AS bars
       FROM session_bars SEMI JOIN $expected USING (interval, timestamp) GROUP BY symbol, interval),
     absent AS (
       SELECT symbol, interval, count(*) AS ranges, sum(bar_count) AS bars FROM gaps GROUP BY symbol, interval)
SELECT symbol, interval, 'session' AS scope,
       (due.bars - coalesce(absent.bars, 0)) * 10000 // due.bars / 100 AS quality,
       present.bars AS bars, coalesce(absent.ranges, 0) AS gap_count, coalesce(absent.bars, 0) AS missing_bars
FROM present JOIN due USING (interval) LEFT JOIN absent USING (symbol, interval)
