-- Bars a consumer holds after it applied the exports in turn: of one bar the row that came last.
SELECT * EXCLUDE (member)
FROM ($members) SEMI JOIN ($present) USING (symbol)
QUALIFY row_number() OVER (PARTITION BY symbol, interval, timestamp ORDER BY member DESC, revision DESC) = 1
