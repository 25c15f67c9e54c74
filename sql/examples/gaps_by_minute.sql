-- Minutes of the day, local to the exchange, in which most one-minute bars are missing.
SELECT strftime(start_time + to_minutes(step), '%H:%M') AS minute_of_day,
       count(*) AS missing_bars, count(DISTINCT symbol) AS symbols
FROM gaps JOIN range(0, 1440) AS steps(step) ON step < bar_count
WHERE interval = '1m'
GROUP BY minute_of_day
ORDER BY missing_bars DESC, minute_of_day
LIMIT 30
