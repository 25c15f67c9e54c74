-- What each symbol did in the session, by the alphabet, from the finest bars it has there; $finest_first lists the
-- intervals.
SELECT symbol, any_value(session_date) AS session_date, sum(volume) AS volume, max(high) AS high, min(low) AS low,
       sum((high + low + close) / 3 * volume) / nullif(sum(volume), 0) AS vwap
FROM session_bars
GROUP BY symbol, interval
QUALIFY row_number() OVER (PARTITION BY symbol ORDER BY list_position($finest_first, interval)) = 1
ORDER BY symbol
