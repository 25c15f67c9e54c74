"""What a chain of exports left of one symbol: its rows as text, its gap ranges and figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from mismartera.engine.export.consumers.filter import EVENTS
from mismartera.engine.export.document.rows import SEPARATOR, columns_of

Piece = bytes | memoryview


class MergedSymbol:
    """One symbol's state, merged from exports."""

    def __init__(self) -> None:
        self._figures: dict[str, Any] = {}
        self._kinds: dict[str, _Kind] = {}
        self._past: dict[str, Any] = {"data": {}}

    def reset(self) -> None:
        """Drop what belongs to the session: a new one began."""
        self._figures, self._kinds = {}, {}

    def apply(self, parts: Mapping[str, Any], *, complete: bool) -> None:
        """Take what an export tells of the symbol."""
        session = parts["session"]
        self._figures |= {name: value for name, value in session.items() if name != "data"}
        for kind, section in session["data"].items():
            self._kinds.setdefault(kind, _Kind(kind)).apply(section)
        past = parts.get("historical", {})
        if past.get("data") or complete:
            self._past = dict(past) | {"data": {kind: _packed(part) for kind, part in past.get("data", {}).items()}}
        else:
            self._past |= {name: value for name, value in past.items() if name != "data"}

    def rows(self, kind: str) -> int:
        """Return how many session rows of a data type are held."""
        return self._kinds[kind].count

    def pieces(self) -> Iterator[Piece]:
        """Yield the symbol's object in a complete export."""
        yield b'{"session":%b' % _opened(self._figures)
        for place, (kind, held) in enumerate(self._kinds.items()):
            yield b"%b%b:" % (b"," if place else b"", orjson.dumps(kind))
            yield from held.pieces()
        yield b'}},"historical":%b' % _opened({name: value for name, value in self._past.items() if name != "data"})
        for place, (kind, (section, rows)) in enumerate(self._past["data"].items()):
            yield b"%b%b:" % (b"," if place else b"", orjson.dumps(kind))
            yield from _with_rows(section, [rows] if rows else [])
        yield b"}}}"


class _Kind:
    """One data type of a symbol's session. Rows are kept as pieces of text, those of one export together."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.count = 0
        self._last = ""
        self._texts: list[bytes] = []
        self._ranges: dict[str, Any] = {}
        self._told: dict[str, Any] = {}

    def apply(self, section: Mapping[str, Any]) -> None:
        rows = section.get("data", [])
        if rows:
            self._add(rows)
        for gap in section.get("gaps", {}).get("ranges", []):
            if gap["bar_count"]:
                self._ranges[gap["start_time"]] = gap
            else:
                self._ranges.pop(gap["start_time"], None)
        for name in ("generated", "quality", "latest", "gaps"):
            if name in section:
                self._told[name] = section[name]

    def pieces(self) -> Iterator[Piece]:
        told = dict(self._told)
        if "gaps" in told:
            counts = {name: told["gaps"][name] for name in ("gap_count", "missing_bars")}
            told["gaps"] = counts | {"ranges": [self._ranges[start] for start in sorted(self._ranges)]}
        section = {"count": self.count, "total_count": self.count} | told
        yield from _with_rows(section | ({"columns": columns_of(self.kind)} if self.count else {}), self._texts)

    def _add(self, rows: list[list[Any]]) -> None:
        if self.kind in EVENTS:
            self._texts.append(_text(rows))
            self.count += len(rows)
            return
        stamps = [row[0] for row in rows]
        if stamps != sorted(set(stamps)) or stamps[0] <= self._last:
            rows = self._merged(rows)
            self._texts, self.count = [], 0
        self._texts.append(_text(rows))
        self.count += len(rows)
        self._last = rows[-1][0]

    def _merged(self, rows: list[list[Any]]) -> list[list[Any]]:
        """Return all rows by timestamp, where new ones replace those held: corrections and late bars alone need it."""
        held = orjson.loads(b"[%b]" % SEPARATOR.join(self._texts)) if self._texts else []
        by_stamp = {row[0]: row for row in (*held, *rows)}
        return [by_stamp[stamp] for stamp in sorted(by_stamp)]


def _packed(section: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return a section of history apart from its rows, and the rows as text."""
    return {name: value for name, value in section.items() if name != "data"}, _text(section.get("data", []))


def _text(rows: Iterable[list[Any]]) -> bytes:
    return SEPARATOR.join(map(orjson.dumps, rows))


def _opened(figures: Mapping[str, Any]) -> bytes:
    """Return an object up to the opening brace of its last member, ``data``."""
    start = orjson.dumps(figures)[:-1]
    return start + (b'"data":{' if start == b"{" else b',"data":{')


def _with_rows(section: Mapping[str, Any], texts: list[bytes]) -> Iterator[Piece]:
    start = orjson.dumps(section)
    if not texts:
        yield start
        return
    yield start[:-1] + b',"data":[\n'
    for place, text in enumerate(texts):
        yield SEPARATOR + text if place else text
    yield b"\n]}"
