"""Wrong queries and limits: what the message says, and that it says what to do."""

from __future__ import annotations

import pytest

from mismartera.engine.session.session_data import SessionData
from mismartera.schemas.errors import UnknownNameError
from mismartera.sql.errors import QueryError, QueryRefusedError, QueryStoppedError
from mismartera.sql.live import LiveSql
from mismartera.sql.safe import Database, Limits
from mismartera.sql.session import split_statements
from mismartera.sql.tables import TABLES


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
    ],
)
def test_a_typo_names_the_nearest(session, query, message):
    with pytest.raises(UnknownNameError, match=message):
        session.query(query)


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ("SELECT averge(close) FROM bars", QueryRefusedError, "function averge is refused.*known to be harmless"),
        ("SELECT * FROM bars WHERE", QueryError, "syntax error.*in: SELECT"),
        ("SELECT close FROM bars GROUP BY symbol", QueryError, "close"),
        ("SELECT 'x'::INTEGER", QueryError, "Conversion Error"),
        ("SELECT 1; SELECT 2", QueryRefusedError, "expected one statement, found 2"),
        ("COPY bars TO 'x.csv'", QueryRefusedError, "^COPY is refused: a query may only read"),
        ("SELECT * FROM 'x.csv'", QueryRefusedError, "'x.csv' is refused.*never a file"),
        ("SELECT * FROM range(11)", QueryStoppedError, "more than 10 rows"),
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
        (
            "SELECT '1.1.1.1'::INET",
            'Catalog Error: Type with name "INET" is not in the catalog: it is of the extension inet, and none is '
            "loaded here",
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
    ("query", "message"),
    [
        ("SHOW VARIABLES", "^SHOW VARIABLES is refused: of the database only its tables"),
        ("SHOW DATABASES", "^SHOW DATABASES is refused"),
        ("SHOW SCHEMAS", "^SHOW SCHEMAS is refused"),
        ("SHOW timezone", "^SHOW TIMEZONE is refused"),
        ("SHOW TABLES FROM memory", "^this SHOW is refused"),
        ("SHOW bars", "^SHOW bars is refused: DESCRIBE bars lists its columns"),
        ("SELECT count(*) FROM (SHOW TABLES)", "^SHOW TABLES is a statement of its own"),
        ("FROM (SHOW DATABASES)", "^SHOW DATABASES is refused"),
        ("EXPLAIN SHOW TABLES", "^there is nothing to explain in SHOW TABLES"),
        ("EXPLAIN SHOW DATABASES", "^SHOW DATABASES is refused"),
    ],
)
def test_show_tells_the_tables_and_nothing_else(session, query, message):
    with pytest.raises(QueryRefusedError, match=message):
        session.query(query)


@pytest.mark.parametrize("query", ["SHOW TABLES", "show tables;", "SHOW ALL TABLES", "DESCRIBE"])
def test_the_list_of_tables_is_asked_for_in_several_ways(session, query):
    assert session.query(query).column("name").to_pylist() == list(TABLES)


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
    ("query", "answer"),
    [
        ("SELECT sum(i) AS n FROM range(5) t(i)", 10),
        ("SELECT 9223372036854775807::HUGEINT + 0 AS n", 9223372036854775807),
        ("SELECT count(*) AS n FROM (SELECT unnest([1, 2]))", 2),
        ("SELECT list_sum([x * 2 for x in [1, 2] if x > 1]) AS n", 4),
        ("SELECT max(n) AS n FROM (VALUES (1), (3)) t(n)", 3),
        ("FROM range(3) t(n) SELECT max(n) AS n", 2),
        ("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 7) SELECT max(n) AS n FROM r", 7),
        ("SELECT extract(hour FROM TIMESTAMPTZ '2025-07-02 09:30') AS n", 9),
        ("SELECT replace('a', 'a', '7')::INTEGER AS n", 7),
        ("-- a comment\nSELECT 1 AS n /* another */", 1),
        ("SELECT CASE WHEN 'ab' LIKE 'a%' THEN 1 ELSE 2 END AS n;", 1),
    ],
)
def test_plain_sql_is_answered(session, query, answer):
    assert session.query(query).to_pylist() == [{"n": answer}]


def test_statements_are_split():
    assert split_statements("SELECT ';' AS a;\nSELECT 2 -- two;\n") == ["SELECT ';' AS a", "SELECT 2 -- two"]
    assert split_statements(" ") == []
    with pytest.raises(QueryError, match="syntax"):
        split_statements("nonsense;")
