"""Wrong queries and limits: what the message says, and that it says what to do."""

from __future__ import annotations

import duckdb
import pytest

from mismartera.engine.session.session_data import SessionData
from mismartera.schemas.errors import CatalogError, UnknownNameError
from mismartera.sql.database import Database, Limits
from mismartera.sql.errors import QueryError, QueryRefusedError, QueryStoppedError
from mismartera.sql.live.live_sql import LiveSql
from mismartera.sql.messages import one_line
from mismartera.sql.session import SqlSession, split_statements
from mismartera.sql.tables import SQL_TABLES
from mismartera.sql.views import Source


@pytest.fixture
def session():
    with LiveSql(limits=Limits(rows=10)).open(SessionData(["A"]).snapshot) as session:
        yield session


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM brs", "table 'brs' does not exist; did you mean 'bars'"),
        ("SELECT * FROM Session_Bar", "did you mean 'session_bars'"),
        ("SELECT symbl FROM bars", "column 'symbl' does not exist; did you mean 'symbol'"),
        ("SELECT b.clse FROM bars b", "column 'clse' does not exist; did you mean 'close'"),
        ("SELECT qality FROM quality", "did you mean 'quality'"),
        ("SELECT 1 FROM bars JOIN gaps USING (symbo)", "column 'symbo' does not exist; did you mean 'symbol'"),
        ("UNPIVOT quotes ON bidd, ask INTO NAME n VALUE v", "column 'bidd' does not exist; did you mean 'bid'"),
        ("SELECT * EXCLUDE (clse) FROM bars", "column 'clse' does not exist; did you mean 'close'"),
        ("SELECT * REPLACE (1 AS clse) FROM bars", "column 'clse' does not exist; did you mean 'close'"),
        (
            "SELECT b.clse, (SELECT 1) FROM bars AS b, gaps",
            r"did you mean 'close'\? \(available: available_at, close, gen",
        ),
        (
            "WITH x AS (SELECT close AS my_close FROM bars) SELECT my_clos FROM x",
            r"column 'my_clos' does not exist; did you mean 'my_close'\? \(available: my_close\)",
        ),
        ("SELECT opn FROM (SELECT close FROM bars)", r"column 'opn' does not exist \(available: close\)"),
    ],
)
def test_a_typo_names_the_nearest(session, query, message):
    with pytest.raises(UnknownNameError, match=message):
        session.query(query)


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ("SELECT averge(close) FROM bars", QueryError, 'Function with name averge does not exist! Did you mean "avg"'),
        ("SELECT getenv('HOME')", QueryRefusedError, "function getenv is refused: expected one that only computes"),
        ("FROM read_text('x')", QueryRefusedError, "function read_text in FROM is refused: expected a table, or a fu"),
        ("SELECT * FROM bars WHERE", QueryError, "syntax error.*in: SELECT"),
        ("SELECT close FROM bars GROUP BY symbol", QueryError, "close"),
        ("SELECT 'x'::INTEGER", QueryError, "Conversion Error"),
        ("SELECT 1; SELECT 2", QueryRefusedError, "expected one statement, got 2"),
        ("COPY bars TO 'x.csv'", QueryRefusedError, "^COPY is refused: a query may only read"),
        ("SELECT * FROM 'x.csv'", QueryRefusedError, "'x.csv' is refused: expected a table, got a file"),
        ("SELECT * FROM range(11)", QueryStoppedError, "more than 10 rows"),
        ("EXPLAIN COPY bars TO 'x.csv'", QueryRefusedError, "^EXPLAIN is refused: a query may only read"),
        ("EXPLAIN (FORMAT jsn) SELECT 1", QueryError, "jsn"),
        ("PIVOT bars ON nothing", UnknownNameError, "column 'nothing' does not exist"),
        ("PIVOT bars ON symbl", UnknownNameError, "column 'symbl' does not exist; did you mean 'symbol'"),
        ("PIVOT brs ON symbol", UnknownNameError, "table 'brs' does not exist; did you mean 'bars'"),
        ("PIVOT 'x.csv' ON symbol", QueryRefusedError, "'x.csv' is refused"),
        ("COPY (PIVOT bars ON symbol) TO 'x.csv'", QueryRefusedError, "^COPY is refused: a query may only read"),
        ('WITH "a/b" AS (SELECT 1) SELECT 1', QueryRefusedError, "'a/b' cannot name a WITH query"),
        (
            "SELECT * FROM Memory.main.BARS",
            QueryRefusedError,
            "'memory.main.bars' is refused: expected its bare name, bars",
        ),
    ],
)
def test_what_is_wrong_is_said(session, query, error, message):
    with pytest.raises(error, match=message) as caught:
        session.query(query)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "SELECT list_transform([1], x -> x + 1)",
            "Binder Error: the arrow of a lambda is refused: write lambda x: x + 1, not x -> x + 1",
        ),
        (
            "SELECT (SELECT i FROM range(3) t(i))",
            "Invalid Input Error: More than one row returned by a subquery used as an expression - scalar subqueries "
            "can only return a single row.",
        ),
        ("SELECT symbol FROM bars ORDER BY 'a'", "Binder Error: ORDER BY non-integer literal has no effect."),
        (
            "SELECT 1 // 0",
            "Invalid Input Error: Division by zero in expression (1 // 0). Use TRY(...) to return NULL for this "
            "expression.",
        ),
        (
            "SELECT timestamp + 1 FROM bars",
            "Binder Error: no function takes +(TIMESTAMP WITH TIME ZONE, INTEGER); the nearest is "
            "+(left TIMESTAMP WITH TIME ZONE, right INTERVAL)",
        ),
        (
            "SELECT quantile_cont(close) FROM bars",
            "Binder Error: no function takes quantile_cont(DOUBLE); the nearest is "
            "quantile_cont(x DOUBLE, quantile DOUBLE)",
        ),
        (
            "SELECT close LIKE 'a' FROM bars",
            "Binder Error: no function takes LIKE(DOUBLE, STRING); the nearest is "
            "LIKE(string VARCHAR, pattern VARCHAR)",
        ),
        (
            "SELECT strptime('a', '%Y')",
            'Invalid Input Error: Could not parse string "a" according to format specifier "%Y" '
            "Error: Expected a number",
        ),
        (
            "SELECT foo FROM (SELECT 1 AS bar)",
            'Binder Error: Referenced column "foo" not found in FROM clause! Candidate bindings: "bar"',
        ),
        ("SELECT 1\nFROM bars\nWHERE +", 'Parser Error: syntax error at or near "+" in: WHERE +'),
    ],
)
def test_messages_are_a_line_without_advice_nobody_can_follow(session, query, message):
    with pytest.raises(QueryError) as caught:
        session.query(query)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("query", "helps"),
    [
        ("SELECT lower(1, 2) FROM bars", True),
        ("SELECT x.opn FROM (SELECT close FROM bars) AS x", True),
        ("SELECT 'x'::INTEGER", False),
        ("SELECT 1 // 0", False),
        ("SELEC 1", False),
    ],
)
def test_the_columns_are_named_as_help_only_where_they_are(session, query, helps):
    with pytest.raises(QueryError) as caught:
        session.query(query)
    assert (caught.value.hint is not None) is helps


def test_a_limit_reached_before_the_query_is_run_is_told_as_such(session, monkeypatch):
    def check(*_):
        raise duckdb.OutOfMemoryException("Out of Memory Error: could not allocate block of size 4.0 KiB")

    monkeypatch.setattr("mismartera.sql.session.check", check)
    with pytest.raises(QueryStoppedError, match="its memory limit of 1GB") as caught:
        session.query("SELECT 1")
    assert caught.value.hint.endswith("--memory-limit")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SHOW VARIABLES", "^SHOW VARIABLES is refused: expected SHOW TABLES, or DESCRIBE and a table"),
        ("SHOW timezone", "^SHOW TIMEZONE is refused"),
        ("SHOW TABLES FROM memory", "^this SHOW is refused"),
        ("FROM (SHOW VARIABLES)", "^SHOW VARIABLES is refused"),
        ("EXPLAIN SHOW VARIABLES", "^SHOW VARIABLES is refused"),
    ],
)
def test_show_tells_no_settings(session, query, message):
    with pytest.raises(QueryRefusedError, match=message):
        session.query(query)


@pytest.mark.parametrize("query", ["SHOW TABLES", "show tables;", "SHOW ALL TABLES", "DESCRIBE"])
def test_the_list_of_tables_is_asked_for_in_several_ways(session, query):
    assert session.query(query).column("name").to_pylist() == list(SQL_TABLES)


def test_the_rows_that_are_allowed_come(session):
    assert session.query("SELECT * FROM range(10)").num_rows == 10


def test_a_session_goes_on_after_an_error(session):
    for query in ("SELECT 'x'::INTEGER", "SELECT * FROM range(1000000)", "SELECT nothing"):
        with pytest.raises((QueryError, UnknownNameError)):
            session.query(query)
        assert session.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_limits_that_are_none_are_told():
    with pytest.raises(QueryError, match=r"limits of a query: .*Memory"):
        Database(Limits(memory="much"))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"timeout_s": -1}, "a timeout of -1 s"),
        ({"timeout_s": float("nan")}, "a timeout of nan s"),
        ({"timeout_s": float("inf")}, "a timeout of inf s"),
        ({"memory": "-1GB"}, "Memory of '-1GB': expected a size above 0"),
        ({"memory": "0GB"}, "Memory of '0GB'"),
        ({"rows": -5}, "-5 rows"),
        ({"threads": -1}, "-1 threads"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits, message):
    with pytest.raises(QueryError, match=message):
        Limits(**limits)


@pytest.mark.parametrize(
    "options", [("--timeout", "-1"), ("--timeout", "nan"), ("--memory-limit", "-1GB"), ("--max-rows", "-5")]
)
def test_options_that_make_no_sense_are_refused(options, tmp_path):
    from click.testing import CliRunner

    from mismartera.cli.main import cli

    told = CliRunner().invoke(cli, ["sql", "SELECT 1", "--catalog", str(tmp_path), *options])
    assert told.exit_code != 0
    assert options[1] in (told.output + str(told.exception))


def test_a_table_that_failed_fails_again_and_is_never_empty():
    made = []

    def broken():
        made.append(1)
        raise CatalogError("part-0.parquet: not a whole Parquet file")

    sources = {"bars": lambda: Source(select="FROM session_bars", needs=("session_bars",)), "session_bars": broken}
    with SqlSession(Database(Limits()), Limits(), sources, owns_database=True) as session:
        for table in ("bars", "session_bars", "bars"):
            with pytest.raises(CatalogError, match="not a whole"):
                session.query(f"SELECT count(*) FROM {table}")
    assert len(made) == 3


def test_a_view_that_cannot_be_made_fails_again_and_is_never_empty():
    sources = {"bars": lambda: Source(select="FROM nothing_there")}
    with SqlSession(Database(Limits()), Limits(), sources, owns_database=True) as session:
        for _ in range(2):
            with pytest.raises(QueryError, match="nothing_there"):
                session.query("SELECT count(*) FROM bars")


def test_the_stack_and_paths_are_left_out():
    told = one_line(RuntimeError("INTERNAL Error: lost\n\nStack Trace:\n\n/lib/x/_duckdb.so(+0x1) [0x7f]\n/lib/y.so"))
    assert told == "INTERNAL Error: lost"


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("SELECT sum(i) AS n FROM range(5) t(i)", 10),
        ("SELECT 9223372036854775807::HUGEINT + 0 AS n", 9223372036854775807),
        ("SELECT count(*) AS n FROM (SELECT unnest([1, 2]))", 2),
        ("SELECT list_sum([x * 2 for x in [1, 2] if x > 1]) AS n", 4),
        ("SELECT max(n) AS n FROM (VALUES (1), (3)) t(n)", 3),
        ("FROM range(3) t(n) SELECT max(n) AS n", 2),
        ("SELECT list_sum(list_transform([1, 2], lambda x, i: x + i)) AS n", 6),
        ("SELECT len(list_transform([[1], [2]], lambda x: list_transform(x, lambda y: y + 1))) AS n", 2),
        ("SELECT len(quantile_cont(i, [0.25, 0.75])) AS n FROM range(5) t(i)", 2),
        ("SELECT strftime(TIMESTAMP '2025-07-02', '%d')::INTEGER AS n", 2),
        ("SELECT len(replace(replace(replace('a b', 'a', 'b'), 'b', 'c'), ' ', '')) AS n", 2),
        ("SELECT list_sum('[1, 2]'::INTEGER[]) AS n", 3),
        ("EXPLAIN (SELECT 1)", None),
        ("EXPLAIN ANALYZE SELECT 1", None),
        ("explain /* x */ analyze SELECT 1", None),
        ("EXPLAIN (FORMAT json) SELECT 1", None),
        ("EXPLAIN SHOW TABLES", None),
        ("SELECT len(list_transform([1], lambda x: [x, l])) AS n FROM (SELECT 1 l)", 1),
        ("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 7) SELECT max(n) AS n FROM r", 7),
        ("SELECT extract(hour FROM TIMESTAMPTZ '2025-07-02 09:30') AS n", 9),
        ("SELECT replace('a', 'a', '7')::INTEGER AS n", 7),
        ("-- a comment\nSELECT 1 AS n /* another */", 1),
        ("SELECT string_agg(i, ', ' ORDER BY i DESC) FILTER (WHERE i > 1) AS n FROM range(4) t(i)", "3, 2"),
        ("SELECT list(DISTINCT i % 2 ORDER BY i % 2) AS n FROM range(4) t(i) ORDER BY n", [0, 1]),
        ("SELECT array_agg(i) AS n FROM range(6) t(i) GROUP BY i // 4 HAVING max(i) > 3 ORDER BY i // 4", [4, 5]),
        ("SELECT listagg(upper(l) || '.', '') AS n FROM (SELECT unnest(['a', 'b']) AS l)", "A.B."),
        ("SELECT list_sort(list_distinct(list(i % 3))) AS n FROM range(9) t(i)", [0, 1, 2]),
        ("SELECT len(string_agg(i, ',')) AS n FROM range(4) t(i) HAVING count(*) > 1 ORDER BY n", 7),
        ("SELECT group_concat(n) AS n FROM (VALUES ('x'), ('y')) t(n)", "x,y"),
        ("SELECT count(*) AS n FROM (FROM range(9) USING SAMPLE 3 ROWS)", 3),
        ("SELECT CASE CASE 1 WHEN 1 THEN 2 END WHEN 2 THEN 3 END AS n", 3),
        ("SELECT sum(nullif(nullif(i, 1), 2)) AS n FROM range(4) t(i)", 3),
        ("SELECT max(x) AS n FROM (SELECT sum(i) OVER w AS x FROM range(4) t(i) WINDOW w AS (ORDER BY i))", 6),
        ("SELECT CASE WHEN 'ab' LIKE 'a%' THEN 1 ELSE 2 END AS n;", 1),
    ],
)
def test_plain_sql_is_answered(session, query, answer):
    found = session.query(query).to_pylist()
    assert found == [{"n": answer}] or (answer is None and found)


def test_statements_are_split():
    assert split_statements("SELECT ';' AS a;\nSELECT 2 -- two;\n") == ["SELECT ';' AS a", "SELECT 2 -- two"]
    assert split_statements(" ") == []
    with pytest.raises(QueryError, match="syntax"):
        split_statements("nonsense;")


def test_an_interrupt_that_duckdb_saw_is_an_interrupt(session, monkeypatch):
    def interrupted(*_):
        raise RuntimeError("Query interrupted")

    with monkeypatch.context() as patch:
        patch.setattr(session, "_fetch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.query("SELECT 1")
    assert session.query("SELECT 1 AS n").to_pylist() == [{"n": 1}]
