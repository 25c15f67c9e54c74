"""Wrong queries and limits: what the message says, and that it says what to do."""

from __future__ import annotations

import pytest

from mismartera.engine.session.session_data import SessionData
from mismartera.schemas.errors import UnknownNameError
from mismartera.sql.errors import QueryError, QueryRefusedError, QueryStoppedError
from mismartera.sql.live import LiveSql
from mismartera.sql.safe import Database, Limits
from mismartera.sql.session import split_statements


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
