-- Ticks or quotes in the order they came; each could be known at its own instant.
SELECT *, CAST(timezone('$timezone', timestamp) AS DATE) AS session_date, timestamp AS available_at
FROM ($members) SEMI JOIN ($present) USING (symbol)
