"""Aggregates that gather the rows of a group into one text or list, and where a query may use them.

What they hold while they gather counts to the limit of memory. What comes of it does not: beside 2,048 other rows it
would be copied into each. So it may only be a column of the answer, and nothing but its order or length be made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mismartera.sql.errors import QueryRefusedError

from .syntax import function_of, names, nodes_of

GATHERING = names("array_agg group_concat list listagg string_agg")

PLAIN = names("len length list_distinct list_reverse_sort list_sort list_unique")
"""Functions that may be called on what was gathered: what they return is no longer."""


def check_gathering(statement: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a query in which more is made of a gathered value than a column of the answer.

    Parameters
    ----------
    statement : mapping
        The outermost node of the query.
    nodes : sequence of mapping
        All nodes of the query.

    Raises
    ------
    QueryRefusedError
        If a gathering aggregate is a part of an expression, of a subquery or of a window, if its alias is used in
        another expression, or if rows are multiplied beside it by `unnest`.
    """
    calls = [node for node in nodes if function_of(node) in GATHERING]
    if not calls:
        return
    columns = statement.get("select_list", []) if statement.get("type") == "SELECT_NODE" else []
    by_itself = {id(_innermost(column)): column for column in columns if _gathers(_innermost(column))}
    answers = list(by_itself.values())
    for call in calls:
        if id(call) not in by_itself:
            name = call["function_name"]
            raise QueryRefusedError(
                f"{name} is refused here: it may only be a column of the answer by itself, as in "
                f"SELECT interval, {name}(symbol) FROM quality GROUP BY interval",
                hint="what comes of it may be of any size, so nothing else can be made of it, and no window can gather",
            )
    others = [column for column in columns if not any(column is answer for answer in answers)]
    aliases = {str(answer.get("alias", "")).lower() for answer in answers} - {""}
    for node in nodes_of([others, statement.get("having"), statement.get("qualify"), *_ordered(statement)]):
        named = aliases.intersection(str(part).lower() for part in node.get("column_names", []))
        if named:
            raise QueryRefusedError(
                f"{min(named)!r} is refused here: it is a gathered column, of which nothing else can be made",
                hint="give the gathered column a name of its own if another column is meant",
            )
        if function_of(node) == "unnest":
            raise QueryRefusedError(
                "unnest is refused beside a column that gathers: each of its rows would copy the whole of it",
                hint="unnest in FROM, before the rows are gathered",
            )


def _innermost(column: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what functions that make no more of a list are called on."""
    while function_of(column) in PLAIN and len(column.get("arguments", [])) == 1:
        column = column["arguments"][0]["expression"]
    return column


def _gathers(column: Mapping[str, Any]) -> bool:
    """Return whether a column is one gathered value: no window, and not several by a star."""
    return (
        column.get("class") == "FUNCTION"
        and function_of(column) in GATHERING
        and not any(node.get("class") == "STAR" for node in nodes_of(column))
    )


def _ordered(statement: Mapping[str, Any]) -> Iterator[Any]:
    """Yield what the answer is ordered by, unless it is a plain column, and what makes its rows distinct."""
    for modifier in statement.get("modifiers", []):
        yield modifier.get("distinct_on_targets", [])
        for order in modifier.get("orders", []):
            if order["expression"].get("class") != "COLUMN_REF":
                yield order["expression"]
