-- Of several rows of one bar the one with the highest revision.
SELECT *
FROM $source
QUALIFY row_number() OVER (PARTITION BY symbol, interval, timestamp ORDER BY revision DESC) = 1
