"""View definitions: `.sql` files with ``$places``, filled in for a source and made the views of a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from string import Template

import duckdb
import pyarrow as pa

from .tables import SQL_TABLES, Table


@cache
def template(name: str) -> Template:
    """Return a view file of this package by its name, such as ``"live_bars"``, without its comments."""
    text = (resources.files(__package__) / "views" / f"{name}.sql").read_text(encoding="utf-8")
    return Template("\n".join(line for line in text.splitlines() if not line.startswith("--")))


def part(name: str, **places: object) -> str:
    """Return a view file with its places filled in."""
    return template(name).substitute({key: str(value) for key, value in places.items()})


def union(parts: Iterable[str]) -> str:
    """Return the rows of all parts as one SELECT; "" where there is none."""
    return "\nUNION ALL\n".join(parts)


def create_view(connection: duckdb.DuckDBPyConnection, table: Table, source: Source) -> None:
    """Make a SELECT the view of a table on this connection, with the documented columns. Cost: 0.5 to 1 ms."""
    select = source.select
    if not source.is_exact:
        columns = ", ".join(f'CAST("{column.name}" AS {column.type}) AS "{column.name}"' for column in table.columns)
        select = f"SELECT {columns} FROM (\n{select}\n)"
    connection.execute(f'CREATE TEMP VIEW "{table.name}" AS {select}')
    connection.complete()


def set_variables(connection: duckdb.DuckDBPyConnection, row: pa.Table) -> None:
    """Make the columns of a table of one row variables of this connection."""
    connection.register("row", row)
    for name in row.column_names:
        connection.execute(f'SET VARIABLE "{name}" = (SELECT "{name}" FROM "row")')
        connection.complete()
    connection.unregister("row")


def create_empty_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make every table an empty view of the database, which a connection's own views hide."""
    for table in SQL_TABLES.values():
        columns = ", ".join(f'NULL::{column.type} AS "{column.name}"' for column in table.columns)
        connection.execute(f'CREATE VIEW main."{table.name}" AS SELECT {columns} WHERE false')
        connection.complete()


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rows of a table come from.

    Attributes
    ----------
    arrow : mapping
        Arrow tables to be registered, by name; they are scanned where they lie. One of the table's own name is the
        table, and needs no `select`.
    select : str
        The SELECT of its view; "" where `arrow` holds the table itself, or where it is empty.
    needs : tuple of str
        Tables the SELECT names.
    variables : pyarrow.Table, optional
        One row; the SELECT reads its columns with ``getvariable``. Unlike a join of the row it never turns a scan into
        the side that is held in memory.
    is_exact : bool
        Whether the SELECT has the documented columns in their order and types, so that none is cast.
    """

    arrow: Mapping[str, pa.Table] = field(default_factory=dict)
    select: str = ""
    needs: tuple[str, ...] = ()
    variables: pa.Table | None = None
    is_exact: bool = False


Sources = Mapping[str, Callable[[], Source]]
"""How each table is made, when a query first names it."""
