-- The last export that carries each symbol's history.
SELECT symbol, max(member) AS member
FROM ($members) SEMI JOIN ($present) USING (symbol)
WHERE sent
GROUP BY symbol
