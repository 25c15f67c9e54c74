"""Statements as DuckDB's own parser reads them: their kinds, their parts, and their syntax trees."""

from __future__ import annotations

import string
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import pairwise
from typing import Any

import duckdb
import orjson

from mismartera.sql.database import LOCK, Database, Limits
from mismartera.sql.errors import QueryError, QueryRefusedError

_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_COMMENT = duckdb.token_type.comment
_HEAD = ("explain", "analyze", "analyse", "format", "(", ",", ")")
"""Words that may stand between EXPLAIN and what it explains, beside the name of the format."""
_LOG = "SELECT message FROM duckdb_logs"
_RAN_OUT = (duckdb.InterruptException, duckdb.OutOfMemoryException, duckdb.FatalException, duckdb.InternalException)


def names(text: str) -> frozenset[str]:
    """Return the names a text lists, with spaces between."""
    return frozenset(text.split())


def folded(name: object) -> str:
    """Return a name as DuckDB compares it: only ASCII letters have a case, so no look-alike becomes another name."""
    return str(name).translate(_FOLD)


def nodes_of(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of a syntax tree."""
    pending = [tree]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield item
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


class Parser:
    """DuckDB's parser.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Its statements are parsed, none is run.
    limits : Limits
        Of the database that takes statements apart.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, limits: Limits) -> None:
        self._connection = connection
        self._limits = limits
        self._apart: duckdb.DuckDBPyConnection | None = None

    def kinds(self, text: str) -> list[str]:
        """Return the kinds of the statements of a text.

        Raises
        ------
        QueryError
            If a sign stands in it at which DuckDB would stop to read.
        duckdb.Error
            If it is no SQL.
        """
        require_text(text)
        return [_kind(statement) for statement in self._connection.extract_statements(text)]

    def tree(self, select: str) -> dict[str, Any]:
        """Return the syntax tree of one SELECT."""
        try:
            tree: dict[str, Any] = orjson.loads(self._serialised(select))
        except orjson.JSONDecodeError as error:
            raise QueryRefusedError(f"the query is nested too deeply to be checked: {error}") from None
        if tree.get("error") or len(tree["statements"]) != 1:
            raise QueryRefusedError(f"expected a SELECT, got {tree.get('error_message', 'several statements')}")
        node: dict[str, Any] = tree["statements"][0]["node"]
        return node

    def explained(self, text: str) -> tuple[str, str] | None:
        """Return the head of an EXPLAIN, written anew, and the SELECT it explains; None if that is no SELECT."""
        raw = text.encode()
        ends = pairwise([*duckdb.tokenize(text), (len(raw), _COMMENT)])
        words = ((start, raw[start:stop].decode()) for (start, kind), (stop, _) in ends if kind != _COMMENT)
        head: list[str] = []
        for start, word in words:
            inner = raw[start:].decode()
            if head and self._is_select(inner):
                form = head[head.index("format") + 1] if "format" in head else "text"
                options = "ANALYZE, " if {"analyze", "analyse"} & {*head} else ""
                return f"EXPLAIN ({options}FORMAT {form})", inner
            head.append(folded(word.strip()).strip("'\""))
            if head[-1] not in _HEAD and not (head[-2:-1] == ["format"] and head[-1].isalpha()):
                return None
        return None

    def called(self, text: str) -> list[str]:
        """Return the names that a statement calls as functions, in lower case, by its tokens alone."""
        raw = text.encode()
        ends = pairwise([*duckdb.tokenize(text), (len(raw), _COMMENT)])
        words = [raw[start:stop].decode().strip() for (start, kind), (stop, _) in ends if kind != _COMMENT]
        pairs = pairwise(word for word in words if word)
        return [folded(word.strip('"')) for word, after in pairs if after.startswith("(")]

    def parts(self, text: str) -> tuple[list[str], duckdb.Error | None]:
        """Return the statements that DuckDB runs for one that has no tree, as DuckDB writes them, and why it stopped.

        Notes
        -----
        PIVOT without values is several statements, of which only DuckDB's log tells: first types are made of the
        values that occur. So it is run where there is nothing: in a database of its own, without outside access, whose
        tables are empty. Cost: 20 to 50 ms, and the time of what needs no table.
        """
        with closing(Database(self._limits, log="QueryLog")) as database, closing(database.connect()) as apart:
            self._apart, failure = apart, None
            try:
                apart.execute(text)
            except _RAN_OUT:
                raise
            except duckdb.Error as error:
                failure = error
            finally:
                self._apart = None
            apart.abort()
            log = [message for (message,) in apart.execute(_LOG).fetchall()]
        return [message for message in log if message not in (LOCK, _LOG)], failure

    def interrupt(self) -> None:
        """Stop `parts`, which another thread waits for."""
        apart = self._apart
        if apart is not None:
            with suppress(duckdb.ConnectionException):  # closed in this moment: it has ended
                apart.interrupt()

    def _is_select(self, text: str) -> bool:
        try:
            return self.kinds(text) == ["SELECT"]
        except duckdb.Error:
            return False

    def _serialised(self, select: str) -> str:
        found: tuple[Any, ...] | None = self._connection.execute("SELECT json_serialize_sql(?)", [select]).fetchone()
        self._connection.complete()
        return "" if found is None else str(found[0])


def _kind(statement: duckdb.Statement) -> str:
    """Return the kind of a statement; some that DuckDB parses have no name in its Python module."""
    try:
        return str(statement.type.name)
    except ValueError:
        return "this statement"


def require_text(text: str) -> None:
    """Raise `QueryError` for a text with a sign at which DuckDB stops to read, or none: a NUL, a lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QueryError(f"the query is not valid text: {error.reason} at character {error.start}") from None
    if "\0" in text:
        raise QueryError(f"the query is not valid text: NUL at character {text.index(chr(0))}")
