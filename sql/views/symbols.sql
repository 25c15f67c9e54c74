-- Every symbol that has bars, by the alphabet.
SELECT symbol, row_number() OVER (ORDER BY symbol) - 1 AS position
FROM (SELECT DISTINCT symbol FROM bars)
