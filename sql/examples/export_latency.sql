-- Exports by mode and format: their sizes, and of a live system (`system.sql`, not of files) the microseconds they took.
SELECT mode, format, count(*) AS exports, sum(rows) AS rows, sum(bytes) AS bytes,
       round(avg(bytes)) AS bytes_each, max(bytes) AS most_bytes,
       quantile_disc(total_us, 0.5) AS p50_us, quantile_disc(total_us, 0.9) AS p90_us,
       quantile_disc(total_us, 0.99) AS p99_us, max(total_us) AS max_us
FROM exports
GROUP BY mode, format
ORDER BY mode, format
