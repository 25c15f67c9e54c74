"""Walking DuckDB's syntax trees, as `json_serialize_sql` writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


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
