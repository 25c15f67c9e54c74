-- What came with a symbol's history, which an export carries whole or not at all: the last that carries it counts.
SELECT * EXCLUDE (member)
FROM ($members) SEMI JOIN ($owners) USING (symbol, member)
