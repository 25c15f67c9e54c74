-- Spread of the quotes of each symbol, in cents and in basis points of the middle, widest first.
SELECT symbol, count(*) AS quotes,
       round(100 * avg(ask - bid), 3) AS mean_cents, round(100 * median(ask - bid), 3) AS median_cents,
       round(10000 * avg((ask - bid) / ((ask + bid) / 2)), 3) AS mean_bps
FROM quotes
GROUP BY symbol
ORDER BY mean_bps DESC, symbol
