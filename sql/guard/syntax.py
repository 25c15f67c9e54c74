"""Walking DuckDB's syntax trees, as `json_serialize_sql` writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def names(text: str) -> frozenset[str]:
    """Return the names a text lists, with spaces between."""
    return frozenset(text.split())


def function_of(node: Mapping[str, Any]) -> str:
    """Return the name of the function a node calls, in lower case as DuckDB looks it up; empty for other nodes."""
    return str(node.get("function_name", "")).lower()


QUERIES = names("SELECT_NODE SET_OPERATION_NODE RECURSIVE_CTE_NODE CTE_NODE")
RELATIONS = names("BASE_TABLE TABLE_FUNCTION SUBQUERY JOIN EMPTY EXPRESSION_LIST PIVOT SHOW_REF")
PARTS = (
    QUERIES
    | RELATIONS
    | names("""
ORDER_MODIFIER LIMIT_MODIFIER LIMIT_PERCENT_MODIFIER DISTINCT_MODIFIER ORDER_DEFAULT ASCENDING DESCENDING
""")
)
EXPRESSIONS = names("""
BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT DEFAULT FUNCTION LAMBDA LAMBDA_REF OPERATOR
PARAMETER POSITIONAL_REFERENCE STAR SUBQUERY TYPE WINDOW
""")
"""What a query that reads may be made of: nodes with a class are expressions, those without are its other parts."""


def nodes_of(tree: Any, besides: str = "") -> Iterator[dict[str, Any]]:
    """Yield the nodes of a syntax tree; those of type `besides` are left out with all below them."""
    pending = [tree]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if besides and item.get("type") == besides:
                continue
            yield item
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def literal(argument: Mapping[str, Any]) -> str | None:
    """Return the text of a value that is written out, None for any other expression."""
    held = argument.get("literal")
    return str(held.get("text", "")) if argument.get("class") == "CONSTANT" and isinstance(held, dict) else None
