"""What a query may be: one statement that only reads the tables, by every node of its syntax tree.

What runs is always a text whose own tree was checked. EXPLAIN has none: it is put together anew around the SELECT it
explains. Nor has a PIVOT that finds its columns in the data: the SELECTs that DuckDB makes of it are checked and run.
No trick of comments, quotes or signs can show the check another statement than the one that runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mismartera.schemas.errors import UnknownNameError
from mismartera.sql.errors import QueryRefusedError
from mismartera.sql.tables import SQL_TABLES

from .functions import check_function, check_name, check_table_function
from .syntax import Parser, folded, names, nodes_of

PRIVATE_PREFIX = "__"
"""Names of relations below the views begin so; they hold rows that are not visible yet, and no query may name one."""

_PARTS = names("""
SELECT_NODE SET_OPERATION_NODE RECURSIVE_CTE_NODE CTE_NODE
BASE_TABLE TABLE_FUNCTION SUBQUERY JOIN EMPTY EXPRESSION_LIST PIVOT SHOW_REF
ORDER_MODIFIER LIMIT_MODIFIER LIMIT_PERCENT_MODIFIER DISTINCT_MODIFIER ORDER_DEFAULT ASCENDING DESCENDING
""")
_EXPRESSIONS = names("""
BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT DEFAULT FUNCTION LAMBDA LAMBDA_REF OPERATOR
PARAMETER POSITIONAL_REFERENCE STAR SUBQUERY TYPE WINDOW
""")
"""What a query that reads may be made of: nodes with a class are expressions, those without are its other parts."""

_CATALOG_VIEWS = names("""
duckdb_columns duckdb_constraints duckdb_databases duckdb_indexes duckdb_schemas duckdb_tables duckdb_types duckdb_views
pg_attribute pg_class pg_constraint pg_database pg_description pg_index pg_indexes pg_namespace pg_proc pg_tables
pg_type pg_views sqlite_master sqlite_schema
""")
"""DuckDB's own views of names and definitions; those of settings, logs, secrets and variables are left out."""

# Outside of its WITH, a name means what DuckDB knows by it: a relation below the views, one of its own, or a file.
_TAKEN = (PRIVATE_PREFIX, "duckdb_", "pg_", "pragma_", "sqlite_")
_OF_FILES = frozenset("./\\:*?[]{}")
_LISTS = ("tables", "__show_tables_expanded")

_ENUM = re.compile(r'CREATE OR REPLACE TEMP TYPE "(__pivot_enum_[0-9a-f-]+)" AS ENUM \((.*)\);', re.DOTALL)
_READS_ONLY = "a query may only read the tables: SELECT, WITH, FROM, VALUES, PIVOT, DESCRIBE, SUMMARIZE or EXPLAIN"
_HINT = "one statement that reads; 'mismartera sql --tables' lists what there is to read"


@dataclass(frozen=True, slots=True)
class Query:
    """A query that may be run.

    Attributes
    ----------
    text : str
    tables : frozenset of str
        Tables it names.
    enums : tuple
        Names and SELECTs of the types its PIVOTs need, to be made in this order before it runs.
    lists_tables : bool
        Whether it is SHOW TABLES, which is answered from the documentation.
    """

    text: str
    tables: frozenset[str]
    enums: tuple[tuple[str, str], ...] = ()
    lists_tables: bool = False


def check(text: str, parser: Parser) -> Query:
    """Return the query if it may be run.

    Raises
    ------
    QueryError
        If the text cannot be parsed; an error of DuckDB's parser is raised as it is.
    QueryRefusedError
        If it is not one statement that reads, or reaches for anything but the tables.
    UnknownNameError
        If it names a table that does not exist.
    """
    kinds = parser.kinds(text)
    if len(kinds) != 1:
        number = f"{len(kinds)} statements" if kinds else "no statement"
        raise QueryRefusedError(f"expected one statement, got {number}", hint=_HINT)
    if kinds[0] == "SELECT":
        return _check_select(text, parser)
    if kinds[0] == "MULTI":
        return _check_parts(text, parser)
    explained = parser.explained(text) if kinds[0] == "EXPLAIN" else None
    if explained is None:
        raise QueryRefusedError(f"{kinds[0].replace('_', ' ')} is refused: {_READS_ONLY}", hint=_HINT)
    head, select = explained
    query = _check_select(select, parser)
    return replace(query, text=f"{head} {select}", lists_tables=False)


def _check_parts(text: str, parser: Parser) -> Query:
    for name in parser.called(text):  # what has no tree is run where there is nothing, before its parts are checked
        check_name(name)
    parts, failure = parser.parts(text)
    enums = [(found[1], _check_select(found[2], parser)) for found in map(_ENUM.fullmatch, parts) if found]
    others = [part for part in parts if not _ENUM.fullmatch(part)]
    queries = [check(part, parser) for part in others]
    if enums and not others and failure is not None:
        raise failure
    if not enums or len(others) != 1:
        raise QueryRefusedError(f"a statement of several is refused: {_READS_ONLY}", hint=_HINT)
    tables = queries[0].tables.union(*(query.tables for _, query in enums))
    return replace(queries[0], tables=tables, enums=tuple((name, query.text) for name, query in enums))


def _check_select(text: str, parser: Parser) -> Query:
    tree = parser.tree(text)
    nodes = list(nodes_of(tree))
    own = {name for node in nodes for name in _cte_names(node)}
    in_from = {id(node["function"]) for node in nodes if node.get("type") == "TABLE_FUNCTION"}
    tables: set[str] = set()
    for node in nodes:
        _check_kind(node)
        kind = node.get("type")
        if kind == "BASE_TABLE":
            tables.add(_check_table(node, own))
        elif kind == "SHOW_REF":
            tables.add(_check_show(node))
        elif kind == "VALUE_PARAMETER":
            raise QueryRefusedError("parameters such as ? and $1 have no values here: write the values out")
        if id(node) in in_from:
            tables.add(check_table_function(node))
        elif "function_name" in node:
            check_function(node)
    shown = tree.get("from_table") or {}
    lists_tables = shown.get("type") == "SHOW_REF" and _shown(shown) in _LISTS
    return Query(text, frozenset(tables & SQL_TABLES.keys()), lists_tables=lists_tables)


def _check_kind(node: Mapping[str, Any]) -> None:
    """Refuse parts of a query that are not known to read only: in a WITH there may be a statement that writes."""
    kind = node.get("class") or node.get("type")
    if isinstance(kind, str) and kind not in (_EXPRESSIONS if "class" in node else _PARTS):
        told = kind.removesuffix("_NODE").removesuffix("_QUERY").replace("_", " ")
        raise QueryRefusedError(f"{told} within a query is refused: {_READS_ONLY}", hint=_HINT)


def _cte_names(node: Mapping[str, Any]) -> Iterator[str]:
    held = node.get("cte_map")
    keys = [entry["key"] for entry in held.get("map", [])] if isinstance(held, dict) else []
    for name in map(folded, [*keys, *([node["cte_name"]] if "cte_name" in node else [])]):
        if name.startswith(_TAKEN) or not _OF_FILES.isdisjoint(name):
            raise QueryRefusedError(f"{name!r} cannot name a WITH query: expected a plain name, such as daily")
        yield name


def _shown(node: Mapping[str, Any]) -> str:
    return folded(node.get("table_name") or "").strip('"')


def _check_show(node: Mapping[str, Any]) -> str:
    """Return the table that is shown, if it is one; of the other lists some tell settings."""
    kind, name = node.get("show_type"), _shown(node)
    if kind in ("DESCRIBE", "SUMMARY") and node.get("query") is not None:
        return ""
    if (kind == "SHOW" and name in SQL_TABLES) or (
        kind == "SHOW_SPECIAL" and name in (*_LISTS, "databases", "schemas")
    ):
        return name
    told = f"SHOW {name.upper()}" if name.isidentifier() else "this SHOW"
    raise QueryRefusedError(f"{told} is refused: expected SHOW TABLES, or DESCRIBE and a table", hint=_HINT)


def _check_table(node: Mapping[str, Any], own: set[str]) -> str:
    """Return the name of a table, "" for a WITH query or a view of names and definitions."""
    name = folded(node["table_name"])
    path = [folded(part) for part in (node.get("qualified_name") or {}).get("path", [])] or [name]
    if len(path) > 1 or node.get("schema_name") or node.get("catalog_name"):
        if path[-2:-1] == ["information_schema"] or (path[-2:-1] == ["pg_catalog"] and name in _CATALOG_VIEWS):
            return ""
        # Below the views of a connection there are empty ones of the same names, and a place reaches those.
        bare = f"its bare name, {name}" if name in SQL_TABLES else "the name of a table"
        raise QueryRefusedError(f"{'.'.join(path)!r} is refused: expected {bare}", hint=_HINT)
    if name in SQL_TABLES or name in own or name in _CATALOG_VIEWS:
        return name
    if not _OF_FILES.isdisjoint(name):
        raise QueryRefusedError(f"{name!r} is refused: expected a table, got a file or an address", hint=_HINT)
    raise UnknownNameError("table", node["table_name"], sorted(SQL_TABLES), hint="'.tables' or --tables describes them")
