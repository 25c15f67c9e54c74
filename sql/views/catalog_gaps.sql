-- Bars of one interval that the calendar expects and the catalog lacks, neighbours joined to one range. $segments has
-- the trading segments, $symbols who trades in them: a lunch break ends a range, and a bar's number counts from its
-- segment's start. Which of them are there is one bit each: all bars are read, but only missing ones are made. Where a
-- symbol has no bar in a segment at all, one row stands for all of them.
WITH present AS (
       SELECT symbol, session_date, start,
              bitstring_agg(CAST((epoch_us(timestamp) - epoch_us(start)) // $length_us AS INTEGER), 0, $most - 1) AS bits
       FROM ($bars) JOIN $segments USING (session_date)
       WHERE timestamp >= start AND timestamp < stop AND (epoch_us(timestamp) - epoch_us(start)) % $length_us = 0
       GROUP BY symbol, session_date, start),
     lacking AS (
       SELECT *
       FROM $symbols CROSS JOIN $segments LEFT JOIN present USING (symbol, session_date, start)
       WHERE bits IS NULL OR bit_count(bits) < bars),
     missing AS (
       SELECT symbol, session_date, start, number, CASE WHEN bits IS NULL THEN bars ELSE 1 END AS bars,
              number - row_number() OVER (PARTITION BY symbol, session_date, start ORDER BY number) AS run
       FROM lacking JOIN (SELECT CAST(range AS INTEGER) AS number FROM range($most))
            ON CASE WHEN bits IS NULL THEN number = 0 ELSE number < bars AND get_bit(bits, number) = 0 END)
SELECT symbol, '$interval' AS interval, '$scope' AS scope, session_date,
       start + to_microseconds(CAST(min(number) AS BIGINT) * $length_us) AS start_time,
       start + to_microseconds(CAST(min(number) + sum(bars) - 1 AS BIGINT) * $length_us) AS end_time,
       sum(bars) AS bar_count, 0 AS retry_count, NULL AS last_retry
FROM missing
GROUP BY symbol, session_date, start, run
