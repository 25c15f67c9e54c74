-- What exports took in microseconds, by mode and format: half of them at most p50, 99 of 100 at most p99.
SELECT mode, format, count(*) AS exports, sum(rows) AS rows, sum(bytes) AS bytes,
       quantile_disc(total_us, 0.5) AS p50_us, quantile_disc(total_us, 0.9) AS p90_us,
       quantile_disc(total_us, 0.99) AS p99_us, max(total_us) AS max_us
FROM exports
GROUP BY mode, format
ORDER BY mode, format
