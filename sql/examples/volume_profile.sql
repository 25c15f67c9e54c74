-- Volume by half hour of the session, and each one's share of the day; try it with --plot share.
SELECT strftime(time_bucket(INTERVAL 30 MINUTE, timestamp), '%H:%M') AS half_hour,
       sum(volume) AS volume, round(100 * sum(volume) / sum(sum(volume)) OVER (), 2) AS share
FROM session_bars
WHERE interval = (SELECT min_by(interval, available_at - timestamp) FROM session_bars)
GROUP BY half_hour
ORDER BY half_hour
