"""Hostile statements by the thousand: what reaches beyond the tables, wrapped and disguised at random."""

from __future__ import annotations

from pathlib import Path
from random import Random

FILE_FUNCTIONS = """
read_csv
read_csv_auto
read_text
read_blob
read_json
read_json_auto
read_ndjson
read_json_objects
read_parquet
parquet_scan
parquet_metadata
parquet_schema
parquet_kv_metadata
parquet_file_metadata
read_duckdb
sniff_csv
glob
query
query_table
pragma_table_info
pragma_storage_info
duckdb_table_sample
which_secret
json_execute_serialized_sql
""".strip().splitlines()

RELATIONS = """
'{file}'
"{file}"
'{folder}/*.csv'
'{folder}/bars/**/*.parquet'
'https://example.com/x.parquet'
"__session_1m"
__session_1m
temp.main.__session_1m
memory.main.bars
main.bars
temp."bars"
duckdb_settings()
duckdb_secrets()
duckdb_variables()
duckdb_logs
pg_catalog.pg_settings
pragma_database_list
histogram('{file}', canary)
histogram_values("__session_1m", close)
""".strip().splitlines()

SCALARS = """
getenv('HOME')
main.getenv('HOME')
'HOME'.getenv()
current_setting('memory_limit')
"current_setting"('TimeZone')
system.main.current_setting('TimeZone')
getvariable('x')
read_text('{file}')
'{file}'.read_text()
'{file}'.read_blob().length()
'{folder}'.glob()
json_serialize_plan('SELECT 1')
stats(1)
nextval('x')
setval('x', 1)
write_log('x')
__internal_decompress_string(1)
""".strip().splitlines()

WRITES = """
COPY (SELECT 1) TO '{folder}/written'
COPY bars TO '{folder}/written.csv' (FORMAT csv)
INSERT INTO symbols VALUES ('X', 1) RETURNING *
INSERT INTO bars SELECT * FROM bars
UPDATE symbols SET position = 1 RETURNING *
DELETE FROM symbols RETURNING symbol
""".strip().splitlines()

STATEMENTS = """
COPY ({q}) TO '{folder}/written' (FORMAT parquet)
CREATE TABLE mine AS {q}
CREATE OR REPLACE TEMP VIEW bars AS {q}
INSERT INTO symbols {q}
PREPARE p AS {q}
CREATE MACRO f() AS TABLE {q}
EXPORT DATABASE '{folder}/written'
ATTACH '{folder}/written.db' AS other
INSTALL httpfs
LOAD '{folder}/written'
SET memory_limit = '1TB'
PRAGMA database_list
CALL pragma_version()
EXPLAIN ANALYZE COPY ({q}) TO '{folder}/written'
EXPLAIN COPY bars FROM '{file}'
{q}; COPY bars TO '{folder}/written'
SET VARIABLE x = ({q})
DROP VIEW bars
USE temp
""".strip().splitlines()

OF_A_RELATION = """
SELECT * FROM {r}
FROM {r} SELECT count(*) AS n
SELECT count(*) AS n FROM symbols s, {r}
SELECT (SELECT count(*) FROM {r}) AS n
SELECT 1 AS n WHERE EXISTS (FROM {r})
WITH q AS (SELECT * FROM {r}) SELECT count(*) AS n FROM q
WITH q AS MATERIALIZED (SELECT count(*) AS n FROM {r}), p AS (FROM q) FROM p
SELECT n FROM (SELECT 1 AS n) LEFT JOIN {r} ON true
SELECT s.symbol, x.n FROM symbols s, LATERAL (SELECT count(*) AS n FROM {r}) x
SELECT count(*) AS n FROM (SELECT 1 UNION ALL SELECT count(*) FROM {r} EXCEPT SELECT 2)
WITH RECURSIVE q(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM q WHERE n < (SELECT 2 + 0 * count(*) FROM {r})) FROM q
SELECT symbol FROM symbols ORDER BY (SELECT count(*) FROM {r})
VALUES ((SELECT count(*) FROM {r}))
SELECT 1 IN (SELECT count(*) FROM {r}) AS n
SELECT CASE WHEN (SELECT count(*) FROM {r}) > 0 THEN 1 END AS n
PIVOT (SELECT count(*) AS n FROM {r}) ON n IN (1, 2) USING count(*)
UNPIVOT (SELECT count(*) AS n FROM {r}) ON n
SELECT symbol FROM symbols SEMI JOIN (SELECT count(*) AS n FROM {r}) x ON x.n = position
SELECT symbol FROM symbols LIMIT (SELECT count(*) FROM {r})
SELECT symbol FROM symbols GROUP BY symbol HAVING count(*) > (SELECT count(*) FROM {r})
SELECT symbol FROM symbols QUALIFY row_number() OVER (ORDER BY symbol) > (SELECT count(*) FROM {r})
SELECT ARRAY(SELECT count(*) FROM {r}) AS n
""".strip().splitlines()

OF_A_SCALAR = """
SELECT {s} AS n
SELECT symbol FROM symbols WHERE {s} IS NULL
SELECT symbol FROM symbols ORDER BY {s}, symbol
SELECT [{s}] AS n
SELECT {'a': {s}} AS n
SELECT map {'a': {s}} AS n
SELECT list_transform([1], lambda z: {s}) AS n
SELECT [{s} FOR z IN [1, 2] IF z > 1] AS n
SELECT CASE WHEN {s} IS NULL THEN 1 ELSE 2 END AS n
SELECT count(*) FILTER (WHERE {s} IS NULL) AS n FROM symbols
SELECT row_number() OVER (PARTITION BY {s}) AS n FROM symbols
SELECT coalesce({s}::VARCHAR, 'x') || 'y' AS n
SELECT max({s}) AS n FROM symbols GROUP BY {s}
SELECT count(*) AS n FROM range(len({s}::VARCHAR))
VALUES ({s})
SELECT * REPLACE ({s}::VARCHAR AS symbol) FROM symbols
SELECT symbol FROM symbols WHERE position BETWEEN 0 AND length({s}::VARCHAR)
SELECT count(*) AS n FROM symbols a JOIN symbols b ON a.symbol = {s}::VARCHAR
SELECT try({s}) AS n
SELECT n FROM (SELECT 1 AS n) t, LATERAL (SELECT {s} AS m) u
""".strip().splitlines()

OF_A_WRITE = """
WITH x AS ({w}) SELECT 1 AS n
WITH x AS MATERIALIZED ({w}) SELECT count(*) AS n FROM x
SELECT (WITH x AS ({w}) SELECT 1) AS n
WITH y AS (WITH x AS ({w}) SELECT 1 AS n) FROM y
SELECT symbol FROM symbols WHERE symbol IN (WITH x AS ({w}) SELECT 'a')
SELECT n FROM (WITH x AS ({w}) SELECT 1 AS n) WHERE n > 0
WITH a AS (SELECT 1 AS n), x AS ({w}) FROM a UNION ALL FROM a
""".strip().splitlines()

OF_A_QUERY = """
SELECT * FROM ({q})
SELECT count(*) AS n FROM ({q}) a CROSS JOIN ({q}) b
WITH w AS ({q}) SELECT 1 AS n FROM w
SELECT 1 AS n WHERE EXISTS ({q})
SELECT 1 AS n UNION ALL (SELECT count(*) FROM ({q}))
SELECT (SELECT count(*) FROM ({q})) AS n
SELECT count(*) AS n FROM (DESCRIBE {q})
SELECT count(*) AS n FROM (SUMMARIZE {q})
""".strip().splitlines()

AROUND = ["{q}"] * 8 + ["{q};", "({q})", "EXPLAIN {q}", "EXPLAIN ANALYZE {q}", "DESCRIBE {q}", "SUMMARIZE {q}"]
AROUND += ["EXPLAIN (FORMAT json) {q}", "EXPLAIN (ANALYZE, FORMAT 'text') {q}"]
PIVOTS = ["PIVOT (SELECT count(*) AS n FROM ({q})) ON n", "EXPLAIN PIVOT (SELECT count(*) AS n FROM ({q})) ON n"]
SHARE_OF_PIVOTS = 0.02  # each opens a database, to be taken apart

SPACES = [" "] * 6 + ["\n", "\t ", "/**/", " /* '; */ ", ' -- "\n', " /* */\r\n", "  "]


class Maker:
    """Makes statements at random; two with the same state of `random` are the same."""

    def __init__(self, random: Random, folder: Path) -> None:
        self._random = random
        self._places = {"{file}": f"{folder}/canary.csv", "{folder}": str(folder)}

    def statement(self) -> str:
        """Return a statement that reaches beyond the tables."""
        form = self._random.choice(
            ["relation", "relation", "function", "function", "scalar", "scalar", "write", "whole"]
        )
        if form == "whole":
            text = self._pick(STATEMENTS).replace("{q}", "SELECT 1 AS n")
        else:
            text = self._around(self._query(form))
        return self._disguised(self._placed(text))

    def harmless(self) -> str:
        """Return a statement of the same forms that only reads the tables."""
        forms = {"relation": "symbols", "function": "range(3)", "scalar": "upper('x')", "write": "SELECT 1 AS n"}
        form = self._pick(list(forms))
        return self._disguised(self._around(self._query(form, forms[form])))

    def _query(self, form: str, held: str | None = None) -> str:
        if form == "write":
            return self._pick(OF_A_WRITE).replace("{w}", held or self._pick(WRITES))
        if form == "scalar":
            return self._pick(OF_A_SCALAR).replace("{s}", held or self._pick(SCALARS))
        if held is None:
            held = self._pick(RELATIONS) if form == "relation" else self._call()
        return self._pick(OF_A_RELATION).replace("{r}", held)

    def _call(self) -> str:
        name = self._pick(FILE_FUNCTIONS)
        name = self._pick([name, name.upper(), f'"{name}"', f'"{name.title()}"', f"system.main.{name}", f"main.{name}"])
        argument = self._pick(["'{file}'", "['{file}']", "'{folder}/*'", "'/etc/passwd'"])
        return f"{name}({argument})"

    def _around(self, query: str) -> str:
        for _ in range(self._random.choice([0, 0, 1, 1, 2])):
            query = self._pick(OF_A_QUERY).replace("{q}", query)
        pivot = self._random.random() < SHARE_OF_PIVOTS
        return self._pick(PIVOTS if pivot else AROUND).replace("{q}", query)

    def _placed(self, text: str) -> str:
        for place, path in self._places.items():
            text = text.replace(place, path)
        return text

    def _disguised(self, text: str) -> str:
        """Return the text with other spaces and letters outside of what is quoted."""
        pieces, quote = [], ""
        for sign in text:
            if quote or sign in "'\"":
                quote = "" if sign == quote else quote or sign
                pieces.append(sign)
            elif sign == " ":
                pieces.append(self._pick(SPACES))
            else:
                pieces.append(sign.swapcase() if self._random.random() < 0.3 else sign)
        return "".join(pieces)

    def _pick(self, choices: list[str]) -> str:
        return self._random.choice(choices)
