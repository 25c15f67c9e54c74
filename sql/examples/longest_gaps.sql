-- The twenty longest runs of missing bars.
SELECT symbol, interval, session_date, start_time, end_time, bar_count
FROM gaps
ORDER BY bar_count DESC, start_time, symbol
LIMIT 20
