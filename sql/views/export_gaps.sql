-- Gap ranges after the exports were applied in turn: a range is known by its start, and one that was filled comes with
-- no bars. Historical ranges come with the history.
SELECT symbol, interval, scope,
       CASE WHEN interval LIKE '%d' THEN CAST(timezone('UTC', start_time) AS DATE)
            ELSE CAST(timezone('$timezone', start_time) AS DATE) END AS session_date,
       start_time, end_time, bar_count, retry_count, last_retry
FROM (
  SELECT * EXCLUDE (member)
  FROM ($session) SEMI JOIN ($present) USING (symbol)
  WHERE scope = 'session'
  QUALIFY row_number() OVER (PARTITION BY symbol, interval, start_time ORDER BY member DESC) = 1
  UNION ALL BY NAME
  SELECT * EXCLUDE (member)
  FROM ($members) SEMI JOIN ($owners) USING (symbol, member)
  WHERE scope = 'historical')
WHERE bar_count > 0
