"""DuckDB's messages as one line: what was wrong and where, without advice that nobody can follow here."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

from mismartera.schemas.errors import UnknownNameError

from .tables import suggestions

_SENTENCE = re.compile(r"(?<=[.!?]) +(?=[A-Z])")
# The configuration is locked, no extension can be loaded, and the reader's manual is `--tables`.
_ADVICE = re.compile(r"""\b(SET|PRAGMA|INSTALL|LOAD|CALL) ['"]?[a-z_]+|duckdb\.org|\b[Rr]estart""")
_ADVICE_CLAUSE = re.compile(r""",? or (?:use )?['"]?(?:SET|PRAGMA) [a-z_]+[^.]*""")
_ADVICE_BEGINS = ("Please try ", "Possible solution", "Possible Solution", "Alternatively, ", "* ")

_STACK = re.compile(r"^\s*Stack Trace\b.*", re.MULTILINE | re.DOTALL)
_NO_FUNCTION = re.compile(r"No function matches the given name and argument types '(.+)'\.", re.DOTALL)
_CANDIDATES = "Candidate functions:"
_PARAMETER = re.compile(r"([(,] ?)\*?[a-z_]+ ")
_LIKE = re.compile(r"^!?~~\*?")
_LONGEST_SIGNATURE = 200
"""Characters compared: finding the nearest candidate costs the product of both lengths."""

_COLUMN = re.compile(
    r'^Binder Error: .*?[Cc]olumn "+(?P<bare>[^"]+)"+ '
    r"(?:(?:was )?not found|in [A-Z]+ list not found|does not exist on|referenced in UNPIVOT)"
    r'|^Binder Error: .*"(?P<owner>[^"]+)" does not have a column named "(?P<owned>[^"]+)"'
)
_BINDINGS = re.compile(r"^Candidate bindings: (.+)$", re.MULTILINE)
# Whoever names columns that no table has: WITH, and a SELECT or the like in brackets.
_DERIVED = re.compile(r"\bWITH\b|\(\s*(?:SELECT|FROM|VALUES|UNPIVOT|DESCRIBE|SUMMARIZE)\b", re.IGNORECASE)

_REWORDED = [
    (
        re.compile(r"Deprecated lambda arrow .*"),
        "the arrow of a lambda is refused: write lambda x: x + 1, not x -> x + 1",
    ),
]

_LONGEST = 1_000


def one_line(error: Exception) -> str:
    """Return DuckDB's message in one line: what was wrong, and the line of the query it stands in.

    Left out are the drawing of the place, the stack, advice to change settings or to load extensions, and of the
    functions that might have been meant all but the nearest.
    """
    lines = [line.strip() for line in _STACK.sub("", str(error)).splitlines() if line.strip()]
    at = next((place for place, line in enumerate(lines) if line.startswith("LINE ")), len(lines))
    near = lines[at].split(":", 1)[1].strip() if at < len(lines) and ":" in lines[at] else ""
    lines = _without_pointers(lines[:at])
    begin = next((place for place, line in enumerate(lines) if line.startswith(_ADVICE_BEGINS)), len(lines))
    lines = lines[:begin]
    if _CANDIDATES in lines:
        place = lines.index(_CANDIDATES)
        lines = [_mismatch(" ".join(lines[:place]), lines[place + 1 :])]
    told = _without_advice(" ".join(lines))
    for pattern, words in _REWORDED:
        told = pattern.sub(words, told)
    told = f"{told} in: {near}" if near else told
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"


def unknown_column(error: Exception, query: str, tables: Collection[str]) -> UnknownNameError | None:
    """Return the error for a column that does not exist, with those that do where the query could name it.

    Parameters
    ----------
    error : Exception
        What DuckDB says.
    query : str
    tables : collection of str
        Those the query names.

    Returns
    -------
    UnknownNameError or None
        None where it is no such error, or where nothing tells which columns there are.
    """
    told = str(error)
    wrong = _COLUMN.search(told)
    if wrong is None or not tables:
        return None
    bindings = _BINDINGS.search(told)
    nearest = {one.rpartition(".")[2] for one in re.findall(r'"([^"]+)"', bindings[1])} if bindings else set()
    held = suggestions(_owners(wrong["owner"], query, tables))
    if _DERIVED.search(query) and not wrong["owner"]:
        held = []  # what the query itself made has other columns, of which DuckDB names those that are near
    available = sorted({*held, *nearest})
    return UnknownNameError("column", wrong["bare"] or wrong["owned"], available) if available else None


def _owners(alias: str | None, query: str, tables: Collection[str]) -> list[str]:
    """Return the tables an alias stands for, all where there is none."""
    if alias is None:
        return list(tables)
    name = re.escape(alias)
    return [
        one for one in tables if one == alias or re.search(rf'\b{one}"?\s+(?:AS\s+)?"?{name}\b', query, re.IGNORECASE)
    ]


def _without_pointers(lines: list[str]) -> list[str]:
    """Drop lines that point at a place with carets, each with the line it points at."""
    drawn = {place for place, line in enumerate(lines) if not line.strip("^~ ")}
    return [line for place, line in enumerate(lines) if place not in drawn and (place + 1 not in drawn or not place)]


def _without_advice(told: str) -> str:
    first, *more = _SENTENCE.split(_ADVICE_CLAUSE.sub("", told))
    return " ".join([first, *(sentence for sentence in more if not _ADVICE.search(sentence))])


def _mismatch(told: str, candidates: list[str]) -> str:
    """Return the message of a function that does not take what it was given, with the nearest one that exists."""
    given = _NO_FUNCTION.search(told)
    if given is None or not candidates:
        return told
    signature = given[1].replace("_LITERAL", "")[:_LONGEST_SIGNATURE]
    plain = [one.split(" -> ")[0].replace('"', "").replace(", /", "") for one in candidates]
    nearest = max(plain, key=lambda one: _likeness(signature, _PARAMETER.sub(r"\1", one)))
    taken, other = (_LIKE.sub("LIKE", one) for one in (signature, nearest))
    return f"{told[: given.start()]}no function takes {taken}; the nearest is {other}"


def _likeness(given: str, candidate: str) -> tuple[int, float]:
    """Return in how many places the types are the same, and how alike the signatures are as texts."""
    pairs = zip(given.split(", "), candidate.split(", "), strict=False)
    same = sum(one.rstrip(")") == other.rstrip(")") for one, other in pairs)
    return same, difflib.SequenceMatcher(None, given, candidate).ratio()
