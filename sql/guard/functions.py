"""Which functions a query may call.

What reads files, settings or other relations by name is a table function in DuckDB, with few exceptions. So table
functions are allowed by name: of the 109 of DuckDB 2.0 those that compute from arguments or describe the database.
One that a newer DuckDB brings is refused until it is named here, wherever it is called, since ``x.f()`` is ``f(x)``. Of
the 1,000 scalar functions, aggregates and macros, looked through in `duckdb_functions()` by side effects and by the
definition of each macro, a handful reaches beyond its arguments; all others are allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import duckdb

from mismartera.sql.errors import QueryRefusedError
from mismartera.sql.tables import SQL_TABLES

from .syntax import folded, names

TABLE_FUNCTIONS = names("""
generate_series range unnest repeat repeat_row summary json_each json_tree test_all_types test_vector_types
icu_calendar_names pg_timezone_names
duckdb_columns duckdb_constraints duckdb_databases duckdb_functions duckdb_indexes duckdb_keywords duckdb_schemas
duckdb_tables duckdb_types duckdb_views
""")
"""Functions that may stand in FROM. Those of the database tell names and definitions, never rows or settings."""

_OF_A_TABLE = names("histogram histogram_values")
"""Functions in FROM whose first argument names a relation."""

_REFUSED = names("""
getenv current_setting getvariable
nextval currval setval write_log
pg_sleep sleep_ms
json_serialize_plan stats
""")
"""Scalar functions that read settings or the environment, that write, that only wait (which neither a time limit nor
Ctrl-C interrupts), or that look below the views: planning a text opens its files, and statistics are those of all rows,
of rows that are not visible yet too."""

_PREFIXES = ("__", "read_", "write_", "copy_")
"""How internal functions begin, and what a newer DuckDB might call one that reaches a file."""

_HINT = (
    "functions that reach files, settings or other relations are refused; 'mismartera sql --tables' lists the tables"
)


@cache
def table_functions() -> frozenset[str]:
    """Return the names that are functions in FROM only, of the DuckDB that is installed. Cost: 20 to 50 ms, once."""
    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(
            "SELECT function_name FROM duckdb_functions() GROUP BY ALL "
            "HAVING bool_and(function_type IN ('table', 'table_macro', 'pragma'))"
        ).fetchall()
    return frozenset(folded(name) for (name,) in rows)


def check_function(node: Mapping[str, Any]) -> None:
    """Refuse a scalar function, aggregate or macro that reaches beyond its arguments."""
    check_name(folded(node["function_name"]))


def check_name(name: str) -> None:
    """Refuse the name of a function that reaches beyond its arguments; it is in lower case."""
    if name in _REFUSED or name.startswith(_PREFIXES) or name in table_functions() - TABLE_FUNCTIONS:
        raise QueryRefusedError(
            f"function {name} is refused: expected one that only computes from its arguments", hint=_HINT
        )


def check_table_function(node: Mapping[str, Any]) -> str:
    """Refuse a function in FROM that is not known to be harmless; return the table it reads by name, "" for none."""
    name = folded(node["function_name"])
    if name in _OF_A_TABLE:
        table = _named(node.get("arguments") or [{}])
        if table in SQL_TABLES:
            return table
        raise QueryRefusedError(f"{name} is refused: expected one of the tables as its first argument", hint=_HINT)
    if name not in TABLE_FUNCTIONS:
        raise QueryRefusedError(
            f"function {name} in FROM is refused: expected a table, or a function such as range or unnest",
            hint=_HINT,
        )
    return ""


def _named(arguments: list[Any]) -> str:
    """Return the relation that the first argument names, "" where it is anything else."""
    first = arguments[0].get("expression") or {}
    column = first.get("column_names") or []
    return folded(column[0]) if len(column) == 1 else folded((first.get("literal") or {}).get("text", ""))
