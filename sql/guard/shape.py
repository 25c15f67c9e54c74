"""What a text must look like before DuckDB's parser reads it, which no limit of time or memory looks at."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import duckdb

from mismartera.sql.errors import QueryRefusedError

LONGEST_QUERY = 20_000
"""Characters."""
MOST_DEPTH = 100
"""Brackets and CASEs open at a time: beyond, memory and time grow as the square of it, and more."""
MOST_OPERANDS = 2
"""CASEs within the operand of one another: the parser copies an operand to each WHEN."""
MOST_WINDOW_TOKENS = 20_000
"""Words after WINDOW, once for each OVER: the parser copies a named window to where it is named."""

_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_CODE = (duckdb.token_type.keyword, duckdb.token_type.operator, duckdb.token_type.identifier)


def check_shape(text: str) -> None:
    """Refuse a text whose parsing would take any time or memory.

    Parameters
    ----------
    text : str
        Anything a person typed.

    Raises
    ------
    QueryRefusedError
        If it is too long, is nested too deeply, or has CASEs or windows that are copied too often.
    """
    if len(text) > LONGEST_QUERY:
        raise QueryRefusedError(f"the query has {len(text):,} characters: at most {LONGEST_QUERY:,} are allowed")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QueryRefusedError(f"the query is no text: {error.reason} at character {error.start}") from None
    words = [word for word, is_code in _words(text) if is_code]
    _check_depth(words)
    if "WINDOW" in words:
        copied = (len(words) - words.index("WINDOW")) * words.count("OVER")
        if copied > MOST_WINDOW_TOKENS:
            raise QueryRefusedError(
                f"its named windows come to {copied:,} words, each counted as often as it is used: expected "
                f"{MOST_WINDOW_TOKENS:,} at most"
            )


def _check_depth(words: list[str]) -> None:
    depth = 0
    in_operand: list[bool] = []  # of each CASE that is open: whether its first WHEN is yet to come
    for word in words:
        depth += sum(letter in _OPENING for letter in word) - sum(letter in _CLOSING for letter in word)
        depth = max(depth, 0)
        if word == "CASE":
            in_operand.append(True)
        elif word == "WHEN" and in_operand:
            in_operand[-1] = False
        elif word == "END" and in_operand:
            in_operand.pop()
        if sum(in_operand) > MOST_OPERANDS + 1:
            raise QueryRefusedError(
                f"CASEs stand within the operand of one another: expected {MOST_OPERANDS} at most",
                hint="compute the operand in a WITH query, or write CASE WHEN a = b THEN …",
            )
        if depth + len(in_operand) > MOST_DEPTH:
            raise QueryRefusedError(f"the query is nested too deeply: expected {MOST_DEPTH} brackets and CASEs at most")


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the tokens of a text in upper case, and whether each is code: no constant, and no comment."""
    tokens = duckdb.tokenize(text)
    raw = text.encode()
    for (start, kind), (stop, _) in pairwise([*tokens, (len(raw), None)]):
        yield raw[start:stop].decode(errors="replace").strip().upper(), kind in _CODE
