"""`SqlSession`: tables ready to be asked, and the one way a query reaches them."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

import duckdb
import pyarrow as pa

from mismartera.schemas.errors import MismarteraError, StateError
from mismartera.sql.guard.policy import Query, check
from mismartera.sql.guard.syntax import Parser, require_text

from .database import Database, Limits
from .errors import QueryError, QueryStoppedError
from .messages import one_line, unknown_column
from .tables import SQL_TABLES
from .views import Sources, create_view, set_variables

_BATCH_ROWS = 8_192  # one of wide rows is held before its size is looked at


class SqlSession:
    """One connection with every table as a view, for one thread at a time.

    Parameters
    ----------
    database : Database
    limits : Limits
    sources : mapping
        How each table is made, when a query first names it; one that is not there is empty.
    owns_database : bool
        Whether closing the session closes the database.

    Notes
    -----
    Arrow tables are scanned where they lie. The session keeps them alive until it is closed.

    Examples
    --------
    >>> with SqlSession(Database(Limits()), Limits(), {}) as session:
    ...     session.query("SELECT count(*) AS bars FROM bars").to_pylist()
    [{'bars': 0}]
    """

    def __init__(self, database: Database, limits: Limits, sources: Sources, *, owns_database: bool = False) -> None:
        self._limits = limits
        self._database = database
        self._owned = database if owns_database else None
        self._sources = sources
        self._ready: set[str] = set()
        self._connection: duckdb.DuckDBPyConnection | None = database.connect()
        self._parser = Parser(self._connection, limits)

    def __enter__(self) -> SqlSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the tables. Further calls do nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            if self._owned is not None:
                self._owned.close()

    def query(self, text: str) -> pa.Table:
        """Return the answer of a query.

        Parameters
        ----------
        text : str
            One statement that reads: SELECT, WITH, FROM, VALUES, PIVOT, DESCRIBE, SUMMARIZE, SHOW TABLES, EXPLAIN.

        Returns
        -------
        pyarrow.Table
            Instants are ``timestamp("us")`` in the session's zone. Sums of integers are int64, or where one does not
            fit, decimals.

        Raises
        ------
        QueryError
            If the SQL is wrong.
        QueryRefusedError
            If it would do more than read the tables; it was not run.
        QueryStoppedError
            If it reached a limit of time, memory or rows.
        UnknownNameError
            If a table or column does not exist; it names the nearest.
        """
        connection = self._open_connection()
        try:
            query = self._checked(text)
            return _documentation() if query.lists_tables else self._answer(connection, query)
        except RuntimeError as error:
            if str(error) != "Query interrupted":
                raise
            raise KeyboardInterrupt from error  # as which DuckDB saw it; it comes by itself, though not at once

    def interrupt(self) -> None:
        """Stop the query that another thread waits for, at once."""
        self._parser.interrupt()
        if self._connection is not None:
            self._connection.interrupt()

    def prepare(self, tables: Iterable[str] = SQL_TABLES) -> None:
        """Make tables ready, by default all; a query does so itself for those it names."""
        connection = self._open_connection()
        for name in tables:
            if name in self._ready or name not in self._sources:
                continue
            source = self._sources[name]()
            self.prepare(source.needs)
            for registered, table in source.arrow.items():
                if registered != name or table.num_rows:  # an empty table is there already
                    connection.register(registered, table)
            if source.variables is not None:
                set_variables(connection, source.variables)
            if source.select:
                create_view(connection, SQL_TABLES[name], source)
            self._ready.add(name)  # and not before: below it is an empty table, which would answer for one that failed

    def _open_connection(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            raise StateError("the SQL session is closed", hint="open another one")
        return self._connection

    def _checked(self, text: str) -> Query:
        try:
            return check(text, self._parser)
        except duckdb.Error as error:
            raise self._translated(error, Query(text, frozenset(SQL_TABLES))) from error

    def _answer(self, connection: duckdb.DuckDBPyConnection, query: Query) -> pa.Table:
        try:
            self.prepare(query.tables)
            return self._fetch(connection, query)
        except MismarteraError:
            raise  # it says already what is wrong, such as a file of the catalog
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            raise self._translated(error, query) from error

    def _failed(self, error: Exception) -> QueryStoppedError | None:
        """Return the error for a database that can answer nothing any more, and mark it so."""
        if not isinstance(error, (duckdb.FatalException, duckdb.InternalException)) and "invalidated" not in str(error):
            return None
        self._database.is_broken = True
        return QueryStoppedError(
            "the database failed, by this query or one before it, and was given up",
            hint="ask again: a running session opens another database, anything else must be opened again",
        )

    def _fetch(self, connection: duckdb.DuckDBPyConnection, query: Query) -> pa.Table:
        most = self._limits.rows
        for name, select in query.enums:
            connection.execute(f'CREATE OR REPLACE TEMP TYPE "{name}" AS ENUM ({select}\n)')
            connection.complete()
        relation = connection.sql(query.text)
        if relation is None:
            raise QueryError("the statement gives no answer: expected a SELECT")
        reader: pa.RecordBatchReader = relation.to_arrow_reader(_BATCH_ROWS)
        batches, rows, size = [], 0, 0
        for batch in reader:
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if size > self._limits.memory_bytes:
                reader.close()
                raise QueryStoppedError(
                    f"the answer reached the memory limit of {self._limits.memory} and was stopped",
                    hint="aggregate, filter or add LIMIT; --memory-limit allows more",
                )
            if most and rows > most:
                reader.close()
                raise QueryStoppedError(
                    f"the answer has more than {most:,} rows and was stopped",
                    hint="aggregate, filter or add LIMIT; --max-rows allows more",
                )
            batches.append(batch)
        return _plain_integers(pa.Table.from_batches(batches, schema=reader.schema))

    def _translated(self, error: Exception, query: Query) -> Exception:
        return self._stopped(error) or unknown_column(error, query.text, query.tables) or _wrong(error)

    def _stopped(self, error: Exception) -> QueryStoppedError | None:
        """Return the error of a query that ran into a limit, or ran down the database."""
        if (failed := self._failed(error)) is not None:
            return failed
        text = one_line(error)
        if "INTERRUPT" in text:
            return QueryStoppedError(
                f"the query reached its time limit of {self._limits.timeout_s:g} s and was stopped",
                hint="narrow it (a symbol, an interval, a time), or allow more with --timeout",
            )
        if "Out of Memory" in text:
            return QueryStoppedError(
                f"the query reached its memory limit of {self._limits.memory} and was stopped",
                hint="narrow it, or allow more with --memory-limit",
            )
        return None


def split_statements(text: str) -> list[str]:
    """Return the statements of a text, without the semicolons between them.

    Raises
    ------
    QueryError
        If the text is no SQL.
    """
    require_text(text)
    try:
        found = duckdb.extract_statements(text)
    except duckdb.Error as error:
        raise QueryError(one_line(error)) from error
    return [statement.query.strip().rstrip(";") for statement in found]


def _wrong(error: Exception) -> QueryError:
    """Return the error for wrong SQL; the names of columns help only where one is wrong, or what a function takes."""
    named = isinstance(error, (duckdb.BinderException, duckdb.CatalogException))
    return QueryError(one_line(error), hint="'.schema TABLE' or --tables lists the columns" if named else None)


def _plain_integers(table: pa.Table) -> pa.Table:
    """Return sums of integers as int64 where they fit: DuckDB makes them wider, and Arrow has only decimals there."""
    for place, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type) and field.type.scale == 0:
            try:
                table = table.set_column(place, field.name, table.column(place).cast(pa.int64()))
            except pa.ArrowInvalid:
                continue  # some do not fit: they stay decimals
    return table


def _documentation() -> pa.Table:
    return pa.table({"name": list(SQL_TABLES), "description": [table.description for table in SQL_TABLES.values()]})
