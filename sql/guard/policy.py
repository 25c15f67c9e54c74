"""What a query may be: one statement that reads the tables and calls functions known to be harmless."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from mismartera.schemas.errors import UnknownNameError
from mismartera.sql.errors import QueryRefusedError
from mismartera.sql.tables import SQL_TABLES

from .functions import (
    ALLOWED,
    GROWING,
    LENGTHENING,
    LISTING,
    LONGEST_REPLACEMENT,
    MOST_GROWTH,
    REPLACING,
    REPLACING_GROWTH,
    TABLE_FUNCTIONS,
    TEXTS,
    TYPES,
    check_arguments,
)
from .gathering import GATHERING, check_gathering
from .planning import check_planning
from .syntax import EXPRESSIONS, PARTS, function_of, literal, nodes_of

PRIVATE_PREFIX = "__"
"""Names of relations below the views begin so; they hold rows that are not visible yet, and no query may name one."""

_NOISE = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
_EXPLAIN = re.compile(rf"{_NOISE}explain{_NOISE}", re.IGNORECASE | re.DOTALL)
_EXPLAIN_OPTIONS = re.compile(
    rf"(?:analyze|verbose)\b|\({_NOISE}(?:analyze|format|verbose)\b", re.IGNORECASE | re.DOTALL
)
_OWN_NAME = re.compile(r"[a-z_][a-z0-9_]*")
# Used outside of its WITH, a name means what DuckDB knows by it: a relation below the views, or one of its own.
_TAKEN = (PRIVATE_PREFIX, "duckdb_", "pg_", "pragma_", "sqlite_")
_READS_ONLY = "a query may only read the tables: SELECT, WITH, FROM, VALUES, DESCRIBE, SUMMARIZE or EXPLAIN"
_HINT = "one statement that reads; 'mismartera sql --tables' lists what there is to read"


@dataclass(frozen=True, slots=True)
class Query:
    """A query that may be run.

    Attributes
    ----------
    text : str
    tables : frozenset of str
        Tables it names.
    lists_tables : bool
        Whether it is SHOW TABLES, which is answered from the documentation.
    """

    text: str
    tables: frozenset[str]
    lists_tables: bool = False


def check(text: str, kinds: list[str], serialise: Callable[[str], str]) -> Query:
    """Return the query if it may be run.

    Parameters
    ----------
    text : str
    kinds : list of str
        The kinds of its statements, as DuckDB's parser names them.
    serialise : callable
        Turns a SELECT into the JSON of its syntax tree.

    Raises
    ------
    QueryRefusedError
        If it is not one statement that reads, or calls a function that is not in `functions`.
    UnknownNameError
        If it names a table that does not exist.
    """
    if len(kinds) != 1:
        number = "no statement" if not kinds else f"{len(kinds)} statements"
        raise QueryRefusedError(f"expected one statement, found {number}", hint=_HINT)
    if kinds[0] == "EXPLAIN":
        begin = _EXPLAIN.match(text)
        if begin is None or _EXPLAIN_OPTIONS.match(text, begin.end()):
            raise QueryRefusedError("EXPLAIN takes no options here: expected EXPLAIN and a SELECT")
        inner = check(text[begin.end() :], ["SELECT"], serialise)
        if inner.lists_tables:
            raise QueryRefusedError("there is nothing to explain in SHOW TABLES: expected EXPLAIN and a SELECT")
        return Query(f"EXPLAIN {inner.text}", inner.tables)  # what was checked is run, wherever a comment ends
    if kinds[0] != "SELECT":
        named = kinds[0].replace("_", " ") if kinds[0] != "MULTI" else "a statement of several, such as PIVOT,"
        raise QueryRefusedError(f"{named} is refused: {_READS_ONLY}", hint=_HINT)
    return _check_tree(text, _tree(serialise(text)))


def _tree(serialised: str) -> Any:
    try:
        document = orjson.loads(serialised)
    except orjson.JSONDecodeError as error:
        raise QueryRefusedError(f"the query is nested too deeply to be checked: {error}") from None
    if document.get("error"):
        raise QueryRefusedError(f"{_READS_ONLY} ({document.get('error_message')})", hint=_HINT)
    return document["statements"]


def _check_tree(text: str, tree: Any) -> Query:
    if len(tree) != 1:
        raise QueryRefusedError(f"expected one statement, found {len(tree)} statements", hint=_HINT)
    nodes = list(nodes_of(tree))
    for node in nodes:
        _check_kind(node)
    check_planning(tree[0]["node"])
    check_gathering(tree[0]["node"], nodes)
    own = {name.lower() for node in nodes for name in _cte_names(node)}
    taken = sorted(name for name in own if not _OWN_NAME.fullmatch(name) or name.startswith(_TAKEN))
    if taken:
        raise QueryRefusedError(f"{taken[0]!r} may not be the name of a WITH query: expected a plain, free one")
    tables: set[str] = set()
    growth, recursive = 0, False
    lists_tables = _is_show_tables(tree)
    for node in nodes:
        kind = node.get("type")
        if kind == "BASE_TABLE":
            tables.add(_check_table(node, own))
        elif kind == "RECURSIVE_CTE_NODE":
            recursive = True
        elif kind == "TABLE_FUNCTION":
            _check_table_function(node["function"])
        elif kind == "SHOW_REF" and not lists_tables:
            _check_show(node)
        elif kind in ("PARAMETER", "VALUE_PARAMETER"):
            raise QueryRefusedError("parameters such as ? and $1 have no values here: write the values out")
        elif kind == "TYPE" and str(node.get("type_name", "")).lower() not in TYPES:
            raise QueryRefusedError(
                f"type {str(node['type_name']).upper()} is refused: expected one of the usual ones, such as DOUBLE; a "
                "list is written without its length, such as INTEGER[]"
            )
        elif kind == "LAMBDA" and node.get("syntax_type") == "LAMBDA_KEYWORD":
            _check_lambda(node)
        elif node.get("class") == "CAST":
            growth += REPLACING_GROWTH * _lists_as_text(node)
        if "function_name" in node and not node.get("is_table_function"):
            growth += _check_function(node)
    if growth and recursive:
        raise QueryRefusedError("a recursive query may not join texts or lists: each round would double what it made")
    if growth > MOST_GROWTH:
        raise QueryRefusedError(
            f"the query joins texts or lists {growth} times over: at most {MOST_GROWTH} are allowed, since each may "
            "double what the one before made",
        )
    return Query(text, frozenset(tables & SQL_TABLES.keys()), lists_tables)


def _check_kind(node: Mapping[str, Any]) -> None:
    """Refuse parts of a query that are not known to read only: in a WITH there may be a statement that writes."""
    kind = node.get("class") or node.get("type")
    if isinstance(kind, str) and kind not in (EXPRESSIONS if "class" in node else PARTS):
        told = kind.removesuffix("_NODE").removesuffix("_QUERY").replace("_", " ")
        raise QueryRefusedError(f"{told} within a query is refused: {_READS_ONLY}", hint=_HINT)


def _cte_names(node: Mapping[str, Any]) -> Iterator[str]:
    held = node.get("cte_map")
    if isinstance(held, dict):
        yield from (entry["key"] for entry in held.get("map", []))
    if node.get("type") == "RECURSIVE_CTE_NODE":
        yield str(node.get("cte_name", ""))


def _is_show_tables(tree: Any) -> bool:
    """Return whether the statement is SHOW TABLES alone, or another way to ask for the same list."""
    shown = tree[0]["node"].get("from_table") or {}
    return shown.get("type") == "SHOW_REF" and shown.get("table_name") in ('"tables"', "__show_tables_expanded")


def _check_show(node: Mapping[str, Any]) -> None:
    if node.get("show_type") in ("DESCRIBE", "SUMMARY") and node.get("query") is not None:
        return
    name = str(node.get("table_name") or "").strip('"')
    if name.lower() in SQL_TABLES:
        raise QueryRefusedError(f"SHOW {name} is refused: DESCRIBE {name} lists its columns")
    if name.lower() in ("tables", "__show_tables_expanded"):
        raise QueryRefusedError("SHOW TABLES is a statement of its own: it cannot be a part of another")
    told = f"SHOW {name.upper()}" if re.fullmatch(r"[A-Za-z][A-Za-z_]*", name) else "this SHOW"
    raise QueryRefusedError(
        f"{told} is refused: of the database only its tables are shown, by SHOW TABLES, and their columns, by DESCRIBE",
        hint=_HINT,
    )


def _check_table(node: Mapping[str, Any], own: set[str]) -> str:
    name = str(node["table_name"]).lower()
    places = [str(node.get(part) or "").lower() for part in ("catalog_name", "schema_name")]
    path = [str(part).lower() for part in (node.get("qualified_name") or {}).get("path", [])]
    if any(places) or len(path) > 1:
        written = ".".join(path or [*filter(None, places), name])
        if name in SQL_TABLES:
            # Below the views of a connection there are empty ones of the same names, and a place reaches those.
            raise QueryRefusedError(f"{written!r} is refused: a table is named by its bare name, {name}", hint=_HINT)
        raise QueryRefusedError(f"{written!r} is refused: a query reads its tables, not the database's own", hint=_HINT)
    if name in SQL_TABLES or name in own:
        return name
    if re.search(r"[./\\:*?]", name):
        raise QueryRefusedError(
            f"{name!r} is refused: a query reads its tables, never a file or an address", hint=_HINT
        )
    raise UnknownNameError("table", node["table_name"], sorted(SQL_TABLES), hint="'.tables' or --tables describes them")


def _check_table_function(function: dict[str, Any]) -> None:
    name = function_of(function)
    function["is_table_function"] = True
    if name not in TABLE_FUNCTIONS:
        raise QueryRefusedError(
            f"function {name} in FROM is refused: a query reads its tables, and of functions there only "
            f"{', '.join(sorted(TABLE_FUNCTIONS))}",
            hint=_HINT,
        )


def _check_function(node: Mapping[str, Any]) -> int:
    """Return how much the function may lengthen what it is given; raises if it may not be called."""
    name = function_of(node)
    arguments = [argument.get("expression", argument) for argument in node.get("arguments", node.get("children", []))]
    open_ended: int = sum(argument.get("class") != "CONSTANT" for argument in arguments)
    if name in GROWING:
        return max(open_ended - 1, 0)
    if name in LENGTHENING:
        return REPLACING_GROWTH
    if name in REPLACING:
        _check_replacement(name, arguments[1:])
        return REPLACING_GROWTH if _lengthens(name, arguments[1:]) else 1
    check_arguments(name, arguments)
    if name in ALLOWED or name in GATHERING or not re.search(r"[a-z]", name):
        return 0
    close = difflib.get_close_matches(name, ALLOWED, n=1, cutoff=0.75)
    meant = f"; did you mean {close[0]}?" if close else ""
    raise QueryRefusedError(
        f"function {name} is refused: it is none of the {len(ALLOWED)} that are known to be harmless{meant}",
        hint="functions that read files or settings, wait, or make values of any size are left out on purpose",
    )


def _check_replacement(name: str, texts: list[dict[str, Any]]) -> None:
    literals = [orjson.dumps(text.get("literal", text.get("value"))) for text in texts]
    longest = LONGEST_REPLACEMENT + 60  # of which 60 are the tree's own, around the text
    if any(text.get("class") != "CONSTANT" for text in texts) or max(map(len, literals), default=0) > longest:
        raise QueryRefusedError(
            f"{name} is refused here: what to replace, and by what, must be written out, in {LONGEST_REPLACEMENT} "
            "characters at most"
        )


def _lengthens(name: str, texts: list[dict[str, Any]]) -> bool:
    """Return whether what is put in may be longer than what it replaces."""
    old, new = ((literal(text) or "").encode() for text in texts[:2]) if len(texts) > 1 else (b"", b"any")
    if name == "translate":  # one character for one
        return len(new) > len(new.decode())
    return len(new) > (len(old) if name == "replace" else 0)


def _lists_as_text(cast: Mapping[str, Any]) -> bool:
    """Return whether a cast writes a list out that a function made."""
    names = {function_of(node) for node in nodes_of(cast)}
    return bool(names & LISTING) and str((cast.get("type_expr") or {}).get("type_name", "")).lower() in TEXTS


def _check_lambda(node: Mapping[str, Any]) -> None:
    """Refuse a lambda that names more than its parameters: a list for each element of a list grows as the square."""
    own = {str(one["column_names"][0]).lower() for one in nodes_of(node["lhs"]) if "column_names" in one}
    for inner in nodes_of(node["expr"], besides="LAMBDA"):  # one within it is checked by itself
        if len(literal(inner) or "") > LONGEST_REPLACEMENT:
            raise QueryRefusedError(f"a lambda's texts may have {LONGEST_REPLACEMENT} characters at most")
        named = [str(part).lower() for part in inner.get("column_names", [])]
        if (named and named[0] not in own) or inner.get("class") in ("STAR", "POSITIONAL_REFERENCE", "SUBQUERY"):
            told = ".".join(named) or "more"
            raise QueryRefusedError(
                f"the lambda may name only its own parameter, not {told}",
                hint="unnest the list in FROM instead: it is joined row by row, within the limits",
            )
