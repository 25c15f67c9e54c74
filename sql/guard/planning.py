"""How large a query grows while DuckDB plans it, which no limit of time or memory looks at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, NamedTuple

from mismartera.sql.errors import QueryRefusedError

from .functions import COPYING
from .syntax import QUERIES, RELATIONS, function_of, nodes_of

MOST_RELATIONS = 100
"""Tables, functions, and SELECTs without any, those of a WITH query once for each time it is named."""
MOST_COLUMNS = 2_000
"""Columns of any query within the query."""
MOST_TERMS = 10_000
"""Terms of one SELECT, those of a column once for each time another names it by its alias."""
MOST_COPIES = 1_000
"""Times a column is named by CASEs over CASEs, in queries within queries: conditions are moved below all of them."""

_TABLE_COLUMNS = 20
_CASES = COPYING | {"if"}  # written out as a CASE

Node = Mapping[str, Any]


class _Size(NamedTuple):
    """Of a query or relation: tables, leaves of its columns, and how often one value is written in a column."""

    relations: int
    columns: int
    copies: int = 1


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
        return _checked(left.relations + right.relations, left.columns, max(left.copies, right.copies))
    sizes = [_size(inner, known) for name, value in node.items() if name != "cte_map" for inner in _within(value)]
    relations, columns = sum(size.relations for size in sizes), [size.columns for size in sizes]
    copies = max((size.copies for size in sizes), default=1)
    if kind == "SET_OPERATION_NODE":
        return _checked(relations, max(columns, default=0), copies)
    if kind in ("TABLE_FUNCTION", "EXPRESSION_LIST"):
        return _checked(relations + 1, max(map(len, node.get("values", [])), default=1))
    return _checked(relations, sum(columns) + _pivot_columns(node), copies)


def _select_size(node: Node, known: Mapping[str, _Size]) -> _Size:
    source = _size(node["from_table"], known) if node.get("from_table") else _Size(0, 0)
    others = {name: value for name, value in node.items() if name not in ("from_table", "cte_map")}
    inner = [_size(query, known) for query in _within(list(others.values()))]
    rows = _row_names(node.get("from_table"))
    columns, copies = 0, 1
    for column in node["select_list"]:
        parts = list(nodes_of(column))
        wide = sum(part.get("class") == "STAR" or _names(part)[:1] in rows for part in parts)
        columns += max(wide * source.columns, 1) + sum(part.get("class") == "TYPE" for part in parts)
        copies = max(copies, _copies(column))
    _check_terms(others, max(source.columns, 1))
    copies *= max([source.copies, *(size.copies for size in inner)])
    return _checked(max(source.relations + sum(size.relations for size in inner), 1), columns, copies)


def _names(node: Node) -> list[str]:
    return [str(name).lower() for name in node.get("column_names", [])]


def _row_names(relation: Any) -> list[list[str]]:
    """Return the names of relations: a column of such a name is a whole row."""
    named = (str(node.get("alias") or node.get("table_name") or "").lower() for node in nodes_of(relation))
    return [[name] for name in {*named} - {""}]


def _copies(column: Any) -> int:
    """Return how often one column is named in a value that a condition on it, moved below it, is written out with."""
    named: Counter[tuple[str, ...]] = Counter()
    is_case = False
    for node, times in _copied(column):
        named[tuple(_names(node))] += times if node.get("column_names") else 0
        is_case = is_case or node["class"] == "CASE" or function_of(node) in _CASES
    return max(named.values(), default=1) if is_case else 1


def _check_terms(select: Node, width: int) -> None:
    """Raise if a SELECT has too many terms: aliases put in where they are named, stars and what is copied written out.

    `width` is the number of columns a star stands for.
    """
    sizes: dict[str, int] = {}
    total = 0
    for column in [*select["select_list"], [value for name, value in select.items() if name != "select_list"]]:
        terms, is_wide = 0, False
        for node, times in _copied(column):
            terms += times * (1 + max((sizes.get(name, 0) for name in _names(node)), default=0))
            is_wide = is_wide or (node.get("class") == "STAR" and node is not column)
        total += terms * (width if is_wide else 1)
        if total > MOST_TERMS:
            raise QueryRefusedError(
                f"a SELECT comes to more than {MOST_TERMS:,} terms: expected fewer, those of a column counted as often "
                "as another names it, or a star repeats them",
                hint="compute what is shared in a WITH query, and name the columns that are needed",
            )
        if isinstance(column, dict) and column.get("alias"):
            sizes[str(column["alias"]).lower()] = terms


def _copied(tree: Any) -> Iterator[tuple[Node, int]]:
    """Yield the expressions below a part of a query, and how often functions that copy their arguments write them."""
    pending = [(tree, 1)]
    while pending:
        item, times = pending.pop()
        if isinstance(item, dict):
            if "class" in item:
                yield item, times
            times *= 2 if function_of(item) in COPYING else 1
            pending.extend((value, times) for value in item.values())
        elif isinstance(item, list):
            pending.extend((value, times) for value in item)


def _pivot_columns(node: Node) -> int:
    entries = [len(pivot.get("entries", [])) for pivot in node.get("pivots", [])]
    return prod(entries) * max(len(node.get("aggregates", [])), 1) if entries else 0


def _within(parts: Any) -> Iterator[Node]:
    """Yield the outermost queries and relations below some parts of a node."""
    pending = [parts]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            kind = item.get("type")  # which of a sample's size is no text
            if "class" not in item and isinstance(kind, str) and kind in QUERIES | RELATIONS:
                yield item
            else:
                pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _checked(relations: int, columns: int, copies: int = 1) -> _Size:
    for what, count, most in (
        ("tables", relations, MOST_RELATIONS),
        ("columns", columns, MOST_COLUMNS),
        ("copies of a column within CASEs", copies, MOST_COPIES),
    ):
        if count > most:
            raise QueryRefusedError(
                f"the query comes to {count:,} {what}, each counted as often as it is used: expected {most:,} at most",
                hint="name fewer, or the columns that are needed instead of a star",
            )
    return _Size(relations, columns, copies)
