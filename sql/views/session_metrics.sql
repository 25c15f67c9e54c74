-- What each symbol did in the session, from its finest bars.
SELECT symbol, any_value(session_date) AS session_date, sum(volume) AS volume, max(high) AS high, min(low) AS low,
       sum((high + low + close) / 3 * volume) / nullif(sum(volume), 0) AS vwap
FROM session_bars
WHERE interval = '$base'
GROUP BY symbol
