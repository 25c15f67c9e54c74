-- Quality of the session as the last export tells it, and of history as the last export that carries it does.
SELECT *, total_count AS bars
FROM (
  SELECT * EXCLUDE (member) FROM ($last) WHERE scope = 'session' AND interval NOT IN ('ticks', 'quotes')
  UNION ALL BY NAME
  SELECT * EXCLUDE (member)
  FROM ($members) SEMI JOIN ($owners) USING (symbol, member)
  WHERE scope = 'historical')
