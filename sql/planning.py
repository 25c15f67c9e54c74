"""How large a query grows while DuckDB plans it, which no limit of time or memory looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, NamedTuple

from .errors import QueryRefusedError
from .syntax import QUERIES, RELATIONS, nodes_of

MOST_RELATIONS = 100
"""Tables, functions, and SELECTs without any, those of a WITH query once for each time it is named."""
MOST_COLUMNS = 2_000
"""Columns of any query within the query."""
MOST_TERMS = 10_000
"""Terms of one SELECT, those of a column once for each time another names it by its alias."""

_TABLE_COLUMNS = 20

Node = Mapping[str, Any]


class _Size(NamedTuple):
    relations: int
    columns: int


def check_planning(statement: Node) -> None:
    """Refuse a query that few words make too large to be planned in a moment.

    Parameters
    ----------
    statement : mapping
        The outermost node of the query.

    Raises
    ------
    QueryRefusedError
        If WITH queries multiply tables, stars or PIVOT columns, or aliases terms, beyond what is allowed.
    """
    try:
        _size(statement, {})
    except RecursionError:
        raise QueryRefusedError("the query is nested too deeply: take parts of it out into WITH") from None


def _size(node: Node, known: Mapping[str, _Size]) -> _Size:
    """Return the size of a query or relation; `known` has those of the WITH queries it may name."""
    kind = node.get("type")
    if kind == "BASE_TABLE":
        return known.get(str(node["table_name"]).lower(), _Size(1, _TABLE_COLUMNS))
    known = dict(known)
    for entry in (node.get("cte_map") or {}).get("map", []):
        for query in _within(entry["value"]):
            known[str(entry["key"]).lower()] = _size(query, known)
    if kind == "SELECT_NODE":
        return _select_size(node, known)
    if kind == "RECURSIVE_CTE_NODE":
        left = _size(node["left"], known)
        right = _size(node["right"], known | {str(node["cte_name"]).lower(): _Size(1, left.columns)})
        return _checked(left.relations + right.relations, left.columns)
    sizes = [_size(inner, known) for name, value in node.items() if name != "cte_map" for inner in _within(value)]
    relations, columns = sum(size.relations for size in sizes), [size.columns for size in sizes]
    if kind == "SET_OPERATION_NODE":
        return _checked(relations, max(columns, default=0))
    if kind in ("TABLE_FUNCTION", "EXPRESSION_LIST"):
        return _checked(relations + 1, max(map(len, node.get("values", [])), default=1))
    return _checked(relations, sum(columns) + _pivot_columns(node))


def _select_size(node: Node, known: Mapping[str, _Size]) -> _Size:
    source = _size(node["from_table"], known) if node.get("from_table") else _Size(0, 0)
    others = {name: value for name, value in node.items() if name not in ("from_table", "cte_map")}
    inner = sum(_size(query, known).relations for query in _within(list(others.values())))
    columns = 0
    for column in node["select_list"]:
        stars = sum(one.get("class") == "STAR" for one in nodes_of(column))
        columns += max(stars * source.columns, 1)
    _check_terms(others)
    return _checked(max(source.relations + inner, 1), columns)


def _check_terms(select: Node) -> None:
    """Raise if the aliases of a SELECT, put in where they are named, make too many terms of it."""
    sizes: dict[str, int] = {}
    total = 0
    for column in [*select["select_list"], [value for name, value in select.items() if name != "select_list"]]:
        terms = 0
        for node in nodes_of(column):
            terms += "class" in node
            terms += max((sizes.get(str(name).lower(), 0) for name in node.get("column_names", [])), default=0)
        total += terms
        if total > MOST_TERMS:
            raise QueryRefusedError(
                f"the columns of a SELECT name one another so often that it has more than {MOST_TERMS:,} terms",
                hint="compute the shared ones in a WITH query, and name their columns",
            )
        if isinstance(column, dict) and column.get("alias"):
            sizes[str(column["alias"]).lower()] = terms


def _pivot_columns(node: Node) -> int:
    entries = [len(pivot.get("entries", [])) for pivot in node.get("pivots", [])]
    return prod(entries) * max(len(node.get("aggregates", [])), 1) if entries else 0


def _within(parts: Any) -> Iterator[Node]:
    """Yield the outermost queries and relations below some parts of a node."""
    pending = [parts]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if "class" not in item and item.get("type") in QUERIES | RELATIONS:
                yield item
            else:
                pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _checked(relations: int, columns: int) -> _Size:
    for what, count, most in (("tables", relations, MOST_RELATIONS), ("columns", columns, MOST_COLUMNS)):
        if count > most:
            raise QueryRefusedError(
                f"the query comes to {count:,} {what}, each counted as often as it is used: expected {most:,} at most",
                hint="name fewer, or the columns that are needed instead of a star",
            )
    return _Size(relations, columns)
