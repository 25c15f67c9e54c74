-- Bars the calendar expects in the session and the catalog lacks, neighbours joined to one range. A lunch break ends a
-- range: $expected numbers the bars of a session and the segments they lie in.
WITH present AS (SELECT DISTINCT symbol, interval, timestamp FROM session_bars),
     held AS (SELECT DISTINCT symbol, interval FROM present),
     missing AS (
       SELECT symbol, interval, segment, timestamp,
              number - row_number() OVER (PARTITION BY symbol, interval, segment ORDER BY number) AS run
       FROM held JOIN $expected USING (interval) ANTI JOIN present USING (symbol, interval, timestamp))
SELECT symbol, interval, 'session' AS scope, DATE '$session_date' AS session_date,
       min(timestamp) AS start_time, max(timestamp) AS end_time, count(*) AS bar_count,
       0 AS retry_count, NULL AS last_retry
FROM missing
GROUP BY symbol, interval, segment, run
