"""What people who know DuckDB type at session data: every statement answers, whatever is asked."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from mismartera.sql.catalog.open_catalog import open_catalog
from mismartera.sql.database import Limits
from mismartera.sql.exports.open_exports import open_exports
from mismartera.sql.live.live_sql import LiveSql
from mismartera.sql.tables import SQL_TABLES

LINES = Path(__file__).with_name("analyst.sql").read_text(encoding="utf-8").splitlines()
QUERIES = [line for line in LINES if line and not line.startswith("--")]

MORE = """
PIVOT session_bars ON symbol USING sum(volume) GROUP BY interval ORDER BY interval
PIVOT session_bars ON symbol, interval USING sum(volume) AS v, max(high) AS h GROUP BY session_date
PIVOT (FROM bars WHERE interval = '1h') ON symbol || '/' || interval USING last(close ORDER BY timestamp)
PIVOT gaps ON bar_count > 1 USING count(*) GROUP BY symbol
PIVOT session_metrics ON symbol IN (SELECT symbol FROM symbols ORDER BY symbol LIMIT 2) USING sum(volume)
WITH hours AS (FROM session_bars WHERE interval = '1h') PIVOT hours ON symbol USING max(high) GROUP BY timestamp
SELECT p.interval, p.AAPL + 1 AS n FROM (PIVOT session_bars ON symbol USING count(*) GROUP BY interval) p
PIVOT gaps ON interval USING count(*) GROUP BY symbol UNION BY NAME PIVOT bars ON interval GROUP BY symbol
DESCRIBE PIVOT session_bars ON symbol USING sum(volume) GROUP BY interval
SUMMARIZE (PIVOT session_bars ON symbol USING sum(volume) GROUP BY interval)
EXPLAIN PIVOT session_bars ON symbol USING sum(volume)
EXPLAIN ANALYZE PIVOT session_bars ON symbol USING sum(volume)
PIVOT session_bars ON interval IN ('1m', '5m') USING sum(volume) GROUP BY symbol
PIVOT (FROM session_bars WHERE false) ON symbol USING sum(volume) GROUP BY interval
EXPLAIN ANALYZE SELECT symbol, max(high) FROM session_bars GROUP BY symbol
EXPLAIN (FORMAT json) SELECT 1
EXPLAIN (SELECT 1)
SELECT table_name, count(*) AS columns FROM information_schema.columns GROUP BY ALL ORDER BY ALL
SELECT view_name FROM duckdb_views() WHERE NOT internal
SELECT column_name, data_type FROM duckdb_columns WHERE table_name = 'bars'
SELECT typname FROM pg_catalog.pg_type LIMIT 1
SELECT function_name FROM duckdb_functions() WHERE function_name LIKE 'list%' LIMIT 5
SELECT name FROM (SHOW TABLES)
SHOW bars
SELECT count(*) FROM (SHOW DATABASES)
FROM histogram(bars, close)
FROM histogram_values('session_bars', volume, bin_count := 3)
SELECT histogram(volume), approx_top_k(symbol, 2), reservoir_quantile(close, 0.5), max(close, 3) FROM bars
SELECT * FROM json_each('[1, 2]')
SELECT * FROM repeat('x', 3)
SELECT 'a'.upper().concat('b') AS s, 'a,b'.split(',').list_transform(lambda x: x || x) AS l
SELECT [x * y FOR x IN l] FROM (SELECT [1, 2] AS l, 3 AS y)
WITH RECURSIVE r AS (SELECT 'x' AS s UNION ALL SELECT s || s FROM r WHERE length(s) < 100) SELECT max(length(s)) FROM r
WITH "Daily bars" AS (FROM bars WHERE interval = '1h') SELECT count(*) FROM "daily BARS"
WITH bars AS (FROM session_bars) SELECT count(*) FROM bars
SELECT $$a;b$$ AS text, '2 -- no comment' AS t /* nor ' this */
SELECT NULL::INTEGER[3], '[1]'::JSON::VARIANT, 'x'::BLOB::BIT, 12::BIGNUM
SELECT symbol, string_agg(interval, ',') || '!' AS l FROM quality GROUP BY symbol HAVING len(l) > 1 ORDER BY l || l
""".strip().splitlines()
MORE.append("explain /* why */ analyze -- so\n(format 'json') (SELECT 1) UNION (SELECT 2)")


def live(run):
    return LiveSql(run.system.sql_facts, Limits()).open(run.system.snapshot)


@pytest.fixture(scope="module", params=["live", "catalog", "complete.json", "complete.parquet", "mixed"])
def session(request, run):
    opened = {"live": live, "catalog": lambda run: open_catalog(run.catalog)}.get(
        request.param, lambda run: open_exports([run.exports / request.param])
    )(run)
    with opened as session:
        yield session


@pytest.mark.parametrize("query", [*QUERIES, *MORE])
def test_every_statement_answers(session, query):
    assert session.query(query).num_columns


def test_no_statement_of_the_file_is_left_out():
    assert len(QUERIES) == 81
    assert all(query.endswith(";") for query in QUERIES)


@pytest.mark.parametrize("query", [query for query in MORE if query.startswith("PIVOT")])
def test_a_pivot_answers_what_duckdb_answers(run, query):
    """Against DuckDB by itself, over the same rows, without any guard."""
    with live(run) as session, duckdb.connect() as plain:
        plain.execute("SET TimeZone = 'America/New_York'")
        for name in SQL_TABLES:
            plain.register(name, session.query(f"FROM {name}"))
        expected = plain.sql(query).to_arrow_table()
        found = session.query(query)
    assert found.column_names == expected.column_names
    assert rows(found) == rows(expected)


def rows(table: pa.Table) -> list[str]:
    return sorted(re.sub(r"Decimal\('(\d+)'\)", r"\1", str(row)) for row in table.to_pylist())


def test_what_a_pivot_needs_is_made_anew_each_time(run):
    with live(run) as session:
        for names in (["AAPL"], ["AAPL", "ZED"]):
            listed = ", ".join(f"'{name}'" for name in names)
            query = f"PIVOT (FROM symbols WHERE symbol IN ({listed})) ON symbol USING sum(position)"
            assert session.query(query).column_names == names


def test_the_columns_of_the_tables_are_those_of_the_views(run):
    """`information_schema` tells the documented tables, whether a query named them before or not."""
    with live(run) as session:
        told = session.query("SELECT DISTINCT table_name AS n FROM information_schema.tables").column("n").to_pylist()
    assert set(SQL_TABLES) <= set(told)
