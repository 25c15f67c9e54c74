"""Queries that try more than to read the tables: refused before they run, or stopped; the engine goes on unharmed."""

from __future__ import annotations

import os
import re
from pathlib import Path

import duckdb
import pytest

from mismartera.schemas.errors import MismarteraError, UnknownNameError
from mismartera.sql.catalog.open_catalog import open_catalog
from mismartera.sql.database import Limits
from mismartera.sql.errors import QueryError, QueryRefusedError, QueryStoppedError
from mismartera.sql.guard.functions import ALLOWED, COPYING
from mismartera.sql.live.live_sql import LiveSql
from mismartera.sql.session import split_statements

WRITES = """
COPY bars TO '{place}'
COPY (SELECT 1) TO '{place}' (FORMAT parquet)
COPY bars FROM '{place}'
EXPORT DATABASE '{place}'
IMPORT DATABASE '{place}'
ATTACH '{place}' AS other
ATTACH ':memory:' AS other
DETACH memory
USE memory
CREATE TABLE mine (i INTEGER)
CREATE OR REPLACE VIEW bars AS SELECT 1
CREATE MACRO f(x) AS x
CREATE SECRET s (TYPE http)
CREATE TEMP TABLE mine AS SELECT 1
INSERT INTO bars VALUES (1)
UPDATE bars SET close = 1
DELETE FROM bars
TRUNCATE bars
DROP VIEW bars
ALTER VIEW bars RENAME TO other
COMMENT ON VIEW bars IS 'x'
INSTALL httpfs
FORCE INSTALL httpfs
LOAD httpfs
LOAD '{place}'
UPDATE EXTENSIONS
SET memory_limit = '100GB'
SET GLOBAL enable_external_access = true
SET VARIABLE x = 1
RESET memory_limit
PRAGMA database_list
PRAGMA enable_profiling
CALL pragma_version()
CHECKPOINT
VACUUM
ANALYZE
BEGIN
COMMIT
PREPARE p AS SELECT 1
EXECUTE p
DEALLOCATE p
EXPLAIN COPY bars TO '{place}'
EXPLAIN ANALYZE COPY bars TO '{place}'
PIVOT bars ON interval USING sum(volume)
WITH x AS (COPY (SELECT 1) TO '{place}') SELECT * FROM x
WITH x AS (INSERT INTO symbols VALUES ('X', 1) RETURNING *) SELECT * FROM x
WITH x AS (UPDATE symbols SET position = 1 RETURNING *) SELECT * FROM x
WITH x AS (DELETE FROM symbols RETURNING *) SELECT 1
SELECT (WITH x AS (COPY bars TO '{place}') SELECT 1)
SELECT 1; DROP VIEW bars
SELECT 1; COPY bars TO '{place}'
""".strip().splitlines()

READS = """
SELECT * FROM read_csv('/etc/passwd')
SELECT * FROM read_csv_auto('/etc/passwd')
SELECT * FROM read_text('/etc/passwd')
SELECT * FROM read_blob('/proc/self/environ')
SELECT * FROM read_json('/etc/passwd')
SELECT * FROM read_parquet('{place}')
SELECT * FROM parquet_metadata('{place}')
SELECT * FROM sniff_csv('/etc/passwd')
SELECT * FROM read_duckdb('{place}')
SELECT * FROM glob('/*')
SELECT * FROM '/etc/passwd'
SELECT * FROM 'data.csv'
SELECT * FROM "../x.parquet"
SELECT * FROM 'https://example.com/x.parquet'
SELECT * FROM 's3://bucket/x.parquet'
SELECT * FROM read_parquet('http://127.0.0.1:1/x')
SELECT getenv('HOME')
SELECT main.getenv('HOME')
SELECT current_setting('memory_limit')
SELECT * FROM duckdb_settings()
SELECT * FROM duckdb_secrets()
SELECT * FROM duckdb_views()
SELECT * FROM duckdb_logs
SELECT * FROM information_schema.tables
SELECT * FROM pg_catalog.pg_views
SELECT * FROM pragma_table_info('bars')
SELECT * FROM query('SELECT 1')
SELECT * FROM query_table('bars')
SELECT * FROM json_execute_serialized_sql('x')
SELECT write_log('x')
SELECT nextval('x')
SELECT getvariable('x')
SELECT current_query()
SELECT sleep_ms(60000)
SELECT pg_sleep(60)
SELECT repeat('x', 1000000000)
SELECT lpad('x', 1000000000, 'y')
SELECT printf('%1000000000d', 1)
SELECT format('{{:>1000000000}}', 'x')
SELECT list_resize([1], 1000000000)
SELECT range(1000000000)
SELECT * FROM unnest(generate_series(1, 1000000000))
SELECT * FROM repeat_row(1, num_rows = 1000000000)
SELECT levenshtein('a', 'b')
SELECT equi_width_bins(0::BIGINT, volume, 999999::BIGINT, false) FROM bars
SELECT is_histogram_other_bin(volume) FROM bars
SELECT reservoir_quantile(close, 0.5, 2147483647) FROM bars
SELECT reservoir_quantile(close, 0.5) FROM bars GROUP BY timestamp
SELECT approx_top_k(close, 1000000) FROM bars
SELECT histogram(close, range(1000000)) FROM bars
SELECT max(close, 999999) FROM bars
SELECT min(close, 999999) OVER () FROM bars
SELECT arg_max(symbol, close, 999999) FROM bars GROUP BY timestamp
SELECT min_by(symbol, close, 999999) FROM bars
SELECT approx_quantile(close, split('0,1', ',')::FLOAT[]) FROM bars
SELECT quantile_cont(close, [{quantiles}]) FROM bars
SELECT list_aggr(split('a,b', ','), 'string_agg', symbol) FROM bars
SELECT list_transform(l, lambda z: l) FROM (SELECT split(symbol, '') AS l FROM bars)
SELECT list_transform(l, lambda z: list_concat(list_transform([z], lambda l: l), l)) FROM (SELECT ['a'] AS l)
SELECT list_filter(l, lambda z: list_contains(l, z)) FROM (SELECT ['a'] AS l)
SELECT [l FOR z IN l] FROM (SELECT ['a'] AS l)
SELECT list_transform([1], lambda z: COLUMNS(*)) FROM bars
SELECT strftime(timestamp, symbol) FROM bars
SELECT strftime(symbol, '2025-07-02') FROM bars
SELECT replace(replace(symbol, 'a', 'bbbbbb'), 'b', 'cccccc') FROM bars
SELECT NULL::INTEGER[100000] FROM bars
SELECT CAST(NULL AS STRUCT(a INTEGER[10][100000])) FROM bars
SELECT symbol::BLOB::BIT::VARCHAR FROM bars
SELECT count(*) FROM memory.main.bars
SELECT count(*) FROM main.bars
SELECT count(*) FROM temp.bars
SELECT count(*) FROM memory.bars
SELECT count(*) FROM temp.main.bars
SELECT count(*) FROM "memory"."MAIN"."Bars"
SELECT count(*) FROM MEMORY.BARS
DESCRIBE main.bars
WITH mine AS (FROM main.bars) SELECT * FROM mine
SELECT replace(symbol, 'A', symbol) FROM bars
SELECT * FROM bars WHERE close > ?
SELECT * FROM bars WHERE close > $1
SELECT * FROM "__session_1m"
SELECT * FROM temp.main."__session_1m"
WITH __session_1m AS (SELECT 1) SELECT * FROM __session_1m
SELECT * FROM (WITH duckdb_settings AS (SELECT 1) SELECT * FROM duckdb_settings) a, duckdb_settings b
SELECT * FROM (WITH sqlite_master AS (SELECT 1) SELECT * FROM sqlite_master) a, sqlite_master b
SELECT * FROM (WITH "/etc/passwd" AS (SELECT 1) SELECT 1) a, "/etc/passwd" b
SELECT * FROM (WITH RECURSIVE pg_views AS (SELECT 1 UNION ALL SELECT 2 FROM pg_views) SELECT 1) a, pg_views b
WITH mine AS (SELECT 1) SELECT * FROM main.mine
SELECT (SELECT getenv('HOME'))
SELECT list_transform([1], x -> sleep_ms(x))
SELECT * FROM bars ORDER BY sleep_ms(1)
SELECT count(*) FILTER (WHERE pg_sleep(1) IS NULL) FROM bars
SELECT row_number() OVER (ORDER BY getenv('HOME')) FROM bars
SELECT * FROM bars, LATERAL (SELECT getenv(symbol))
WITH t AS (SELECT getenv('HOME') AS home) SELECT 1
DESCRIBE SELECT getenv('HOME')
SUMMARIZE SELECT getenv('HOME')
EXPLAIN SELECT * FROM read_text('/etc/passwd')
EXPLAIN ANALYZE SELECT count(*) FROM bars
SELECT '[1]'::JSON::VARIANT::VARCHAR
SELECT 'POINT (1 1)'::GEOMETRY
SELECT bin(bin(symbol)) FROM bars
SELECT regexp_escape(regexp_escape(symbol)) FROM bars
SELECT split(split(symbol, '')::VARCHAR, '')::VARCHAR FROM bars
SELECT list_transform(split(symbol, ''), lambda z: '{long}') FROM bars
SELECT regexp_extract(symbol, '(a)', split('a,b', ',')) FROM bars
SELECT DISTINCT ON (l || l) string_agg(symbol, ',') AS l FROM bars
SELECT list(close) OVER () FROM bars
SELECT string_agg(symbol, ',') || 'x' FROM bars
SELECT len(list(close)) + 1 FROM bars
SELECT list_sort(list(close)) AS l, [l, l] FROM bars
SELECT list_sort(list(close) OVER ()) FROM bars
SELECT list_sort(list_concat(list(close), list(open))) FROM bars
SELECT l FROM (SELECT list(close) AS l FROM bars), range(2048)
WITH t AS (SELECT list(close) AS l FROM bars) SELECT l, range FROM t, range(2048)
SELECT symbol, (SELECT string_agg(symbol, ',') FROM bars) FROM bars
SELECT list(close) AS l, L || l FROM bars
SELECT list(close) AS l, first_value("l") OVER () FROM bars GROUP BY symbol
SELECT string_agg(symbol, ',') AS l FROM bars GROUP BY interval ORDER BY l || l
SELECT string_agg(symbol, ',') AS l FROM bars GROUP BY interval HAVING length(l || l) > 1
SELECT string_agg(symbol, ',') AS l FROM bars GROUP BY interval QUALIFY max(l) OVER () > ''
SELECT list(close) AS l, unnest(split('a,b', ',')) FROM bars
SELECT listagg(COLUMNS('s(.*)'), ',') AS "\\1", "ymbol" || "ymbol" FROM bars
SELECT array_agg(close) FROM bars UNION ALL SELECT array_agg(open) FROM bars
SELECT group_concat(symbol) FROM bars HAVING len(list(close)) > 1
SELECT * FROM bars ORDER BY (SELECT list(close) FROM bars)
DESCRIBE SELECT list(close) FROM bars
SELECT sum(length(a||b)) FROM (SELECT string_agg('a','') a FROM range(99)), (SELECT range::text b FROM range(99)) r
WITH RECURSIVE r AS (SELECT 'x' AS s UNION ALL SELECT s || s FROM r) SELECT max(length(s)) FROM r
WITH RECURSIVE r AS (SELECT [1] AS l UNION ALL SELECT list_concat(l, l) FROM r) SELECT max(len(l)) FROM r
""".strip().splitlines()

ENDLESS = [
    "SELECT count(*) FROM bars a, bars b, bars c, bars d",
    "SELECT count(*) FROM range(1000000000) a, range(1000000000) b",
    "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r) SELECT count(*) FROM r",
    "SELECT max(i) FROM range(1000000000000) t(i)",
    "SELECT sum(a.i * b.i) FROM range(10000000) a(i) JOIN range(10000000) b(i) ON a.i < b.i",
    "SELECT count(DISTINCT hash(i)) FROM range(10000000000) t(i)",
    "SELECT * FROM range(1000000000) t(i) ORDER BY hash(i)",
    "SELECT * FROM range(1000000000)",
    "SELECT concat(range::VARCHAR, '" + "x" * 18_000 + "') FROM range(5000000)",
    "SELECT list(i) FROM range(1000000000000) t(i)",
    "SELECT string_agg(symbol, 'some longer text between') FROM bars, range(1000000)",
    "SELECT array_agg(i ORDER BY hash(i)) FROM range(1000000000000) t(i) GROUP BY i % 1000",
    "SELECT a.* FROM bars a, bars b, bars c",
]


@pytest.fixture(params=["live", "catalog"])
def session(request, run, tight):
    if request.param == "live":
        opened = LiveSql(run.system.sql_facts, tight).open(run.system.snapshot)
    else:
        opened = open_catalog(run.catalog, limits=tight)
    with opened as session:
        yield session
        assert session.query("SELECT count(*) > 0 AS some FROM bars").to_pylist() == [{"some": True}]


@pytest.mark.parametrize("query", WRITES)
def test_what_would_write_is_refused_and_writes_nothing(session, query, tmp_path):
    place = tmp_path / "written"
    with pytest.raises(QueryRefusedError):
        session.query(query.format(place=place))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("query", READS)
def test_what_would_read_elsewhere_is_refused(session, query, run):
    place = run.exports / "complete.parquet" / "session_bars.parquet"
    with pytest.raises((QueryRefusedError, UnknownNameError)):
        session.query(query.format(place=place, quantiles=", ".join(["0.5"] * 101), long="y" * 101))


def nested(form, inner, times):
    """Return `form` of `form` of … of `inner`."""
    for _ in range(times):
        inner = form.format(inner)
    return inner


def doubled(first, step, last, times):
    """Return a query in which each of many WITH queries is `step` of the one before."""
    parts = [f"a0 AS ({first})", *(f"a{n} AS {step.format(f'a{n - 1}')}" for n in range(1, times))]
    return f"WITH {', '.join(parts)} {last.format(f'a{times - 1}')}"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 AS x0" + "".join(f", x{n} + x{n} AS x{n + 1}" for n in range(30)),
        "SELECT 1 AS x0" + "".join(f", [x{n}, x{n}] AS X{n + 1}" for n in range(30)),
        doubled("SELECT 1 AS x", "NOT MATERIALIZED (SELECT * FROM {0} UNION ALL SELECT * FROM {0})", "FROM {}", 22),
        doubled("FROM bars", "(SELECT *, * FROM {})", "FROM {}", 19),
        doubled("FROM bars", "(SELECT * FROM {0} AS a, {0} AS b)", "SELECT count(*) FROM {}", 19),
        doubled("FROM bars", "(SELECT 1 WHERE 1 IN (SELECT 1 FROM {0}) OR 1 IN (SELECT 2 FROM {0}))", "FROM {}", 19),
        "SELECT * FROM " + ", ".join(f"bars b{n}" for n in range(400)),
        "SELECT * FROM bars PIVOT (sum(close) FOR symbol IN ({0}) interval IN ({0}))".format(
            ", ".join(f"'{n}'" for n in range(300))
        ),
        "SELECT " + nested("nullif({}, 1)", "close", 25) + " FROM bars",
        doubled("SELECT close AS x FROM bars", '(SELECT "NULLIF"(x, 1) AS x FROM {})', "FROM {} WHERE x > 2", 25),
        "SELECT close AS x0" + "".join(f", fmod(x{n}, 2) AS x{n + 1}" for n in range(25)) + " FROM bars",
        doubled("SELECT close AS x FROM bars", "(SELECT nullif(x, 1) AS x FROM {})", "FROM {} WHERE x > 2", 25),
        doubled(
            "SELECT close AS x FROM bars",
            "(SELECT CASE WHEN x IS NULL THEN 0 ELSE x END AS x FROM {})",
            "FROM {} WHERE x > 2",
            20,
        ),
        doubled("SELECT 1 AS a, 2 AS b", "(SELECT {0} AS a, {0} AS b FROM {0})", "FROM {}", 22),
        doubled("FROM bars", "(SELECT *, * FROM {})", "SELECT COLUMNS(*) IN (1" + ", 1" * 2_000 + ") FROM {}", 5),
        doubled("FROM bars", "(SELECT *, * FROM {})", "FROM {} WHERE COLUMNS(*) IN (1" + ", 1" * 2_000 + ")", 5),
    ],
    ids=[
        *("aliases", "lists", "unions", "stars", "joins", "subqueries", "tables", "pivot", "macros", "quoted"),
        *("aliased macros", "macros below", "cases below", "rows", "columns", "columns in where"),
    ],
)
def test_what_would_be_planned_for_hours_is_refused(session, query):
    with pytest.raises(QueryRefusedError, match=r"expected|more than"):
        session.query(query)


WHENS = "WHEN 1 THEN 1 WHEN 2 THEN 2 WHEN 3 THEN 3 END"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT " + "(" * 6_000,
        "SELECT " + ")" * 5_000 + "(" * 5_000,
        "SELECT * FROM " + "(" * 1_000 + "bars" + ")" * 1_000,
        "WITH a AS (" * 1_500,
        "SELECT " + nested("CASE {} " + WHENS, "volume", 16) + " FROM bars",
        "SELECT " + nested("CASE ({}) " + WHENS, "volume", 16) + " FROM bars",
        "SELECT " + nested("CASE CASE WHEN true THEN {} END " + WHENS, "volume", 16) + " FROM bars",
        "SELECT sum(1) OVER w"
        + ", sum(1) OVER w" * 600
        + " FROM bars WINDOW w AS (PARTITION BY 1"
        + ", 1" * 2_000
        + ")",
        "SELECT '\ud800'",
    ],
    ids=["open", "closed", "from", "with", "case", "bracketed", "searched", "windows", "surrogate"],
)
def test_what_would_be_parsed_for_hours_is_refused(session, query):
    with pytest.raises(QueryRefusedError, match=r"expected|no text"):
        session.query(query)
    with pytest.raises(QueryRefusedError, match=r"expected|no text"):
        split_statements(query)


@pytest.mark.parametrize("query", ENDLESS)
def test_what_has_no_end_is_stopped(session, query):
    with pytest.raises(QueryStoppedError, match=r"limit|rows"):
        session.query(query)


def test_writing_into_the_catalog_that_may_be_read_is_refused(run, tight):
    before = sorted(run.catalog.rglob("*"))
    with open_catalog(run.catalog, limits=tight) as session:
        for query in (
            "COPY bars TO '{}/x.csv'",
            "SELECT * FROM read_text('{}/x')",
            "ATTACH '{}/x.db' AS x",
            "WITH x AS (COPY (SELECT 1) TO '{}/x.csv') SELECT * FROM x",
            "WITH x AS (COPY (SELECT 1) TO '{}/x.csv') SELECT 1",
            "SELECT * FROM bars WHERE symbol IN (WITH x AS (COPY (SELECT 1) TO '{}/x.csv') SELECT 'a')",
            "WITH y AS (WITH x AS (COPY bars TO '{}/x.csv') SELECT 1) SELECT * FROM y",
            "EXPLAIN WITH x AS (COPY (SELECT 1) TO '{}/x.csv') SELECT * FROM x",
        ):
            with pytest.raises(QueryRefusedError):
                session.query(query.format(str(run.catalog).replace("'", "''")))
        place = str(run.catalog).replace("'", "''")
        hidden = session.query(f"EXPLAIN --\rANALYZE COPY (SELECT 1) TO '{place}/x.csv' /*\nSELECT 1 --*/")
        assert hidden.num_rows == 1
    assert sorted(run.catalog.rglob("*")) == before


def test_duckdb_itself_is_shut_off_below_the_checks(run, tight):
    """What the checks of the text let pass would still find nothing to read, write or change."""
    with open_catalog(run.catalog, limits=tight) as session:
        session.prepare()
        below = session._connection
        for query in (
            "SELECT * FROM read_text('/etc/passwd')",
            f"COPY (SELECT 1) TO '{Path('/tmp/never-written.csv')}'",
            "SET enable_external_access = true",
            "SET memory_limit = '100GB'",
            "INSTALL httpfs",
            "ATTACH '/tmp/never-written.db'",
        ):
            with pytest.raises(Exception, match=r"(?i)disabled|locked|cannot"):
                below.execute(query).fetchall()
        assert not Path("/tmp/never-written.csv").exists()


def test_variables_of_python_are_not_tables(session):
    bars_of_mine = [1, 2, 3]
    with pytest.raises(UnknownNameError, match="bars_of_mine"):
        session.query("SELECT * FROM bars_of_mine")
    assert bars_of_mine


@pytest.mark.parametrize(
    "query",
    [
        "",
        ";",
        "-- nothing",
        "selct 1",
        "SELECT 1 FROM bars WHERE",
        "SELECT (",
        "SELECT 'open",
        "\x00",
        "SELECT 1 /* open",
    ],
)
def test_what_is_no_sql_is_an_error_of_ours(session, query):
    with pytest.raises(QueryError):
        session.query(query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
        "SELECT " + "NOT " * 5_000 + "true",
        "SELECT " + " + ".join(["1"] * 5_000),
        "SELECT '" + "x" * 50_000 + "'",
        "WITH a0 AS (SELECT 'x' AS s)"
        + "".join(f", a{n} AS (SELECT s || s AS s FROM a{n - 1})" for n in range(1, 60))
        + " SELECT length(s) FROM a59",
    ],
    ids=["parentheses", "not", "plus", "length", "doubling"],
)
def test_what_is_too_deep_or_long_is_refused(session, query):
    with pytest.raises(QueryError):
        session.query(query)


def test_the_stream_goes_on_while_a_query_is_stopped(catalog):
    from mismartera.engine.system.system_manager import SystemManager

    from .conftest import config

    system = SystemManager(config(), catalog)
    sql = LiveSql(system.sql_facts, Limits(timeout_s=0.3, memory="100MB"))
    system.start(until="2025-07-01T12:00")
    with pytest.raises(QueryStoppedError):
        sql.query("SELECT count(*) FROM range(1000000000) a, range(1000000000) b", system.snapshot)
    assert system.wait(60)
    assert system.snapshot.logs["1m"].rows > 0
    assert sql.query("SELECT count(*) AS n FROM symbols", system.snapshot).to_pylist() == [{"n": 4}]
    sql.close()


def test_no_query_changes_the_engine_s_rows(run, tight):
    snapshot = run.system.snapshot
    before = {kind: log.segments[0].batch.to_pydict() for kind, log in snapshot.logs.items() if kind == "1h"}
    with LiveSql(limits=tight).open(snapshot) as session:
        for query in (*WRITES, *ENDLESS[:3]):
            with pytest.raises(MismarteraError):
                session.query(query.format(place=os.devnull))
    assert before == {kind: log.segments[0].batch.to_pydict() for kind, log in snapshot.logs.items() if kind == "1h"}


def test_macros_that_write_an_argument_twice_are_known():
    """A new DuckDB may bring more of them: one within another doubles what is planned."""
    with duckdb.connect() as connection:
        macros = connection.execute(
            "SELECT function_name, parameters, macro_definition FROM duckdb_functions() WHERE function_type = 'macro'"
        ).fetchall()
    twice = {
        name
        for name, parameters, definition in macros
        if name in ALLOWED
        and any(len(re.findall(rf"\b{re.escape(parameter)}\b", definition)) > 1 for parameter in parameters)
    }
    assert twice
    assert twice <= COPYING
