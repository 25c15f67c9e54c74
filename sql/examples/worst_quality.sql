-- The twenty symbols and intervals that miss the largest share of their bars.
SELECT symbol, interval, scope, quality, bars, missing_bars, gap_count
FROM quality
WHERE quality IS NOT NULL
ORDER BY quality, missing_bars DESC, symbol, interval
LIMIT 20
