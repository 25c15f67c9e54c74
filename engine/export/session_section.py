"""The ``session_data`` section: planned from a snapshot and a cursor, then written piece by piece."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from mismartera.engine.state.snapshot import Snapshot

from .cursor import Cursor
from .history_section import HistorySection
from .kind_section import KindSection

Piece = bytes | memoryview

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class SessionSection:
    """What of a session goes into one export.

    Parameters
    ----------
    snapshot : Snapshot
    codes : sequence of int, optional
        Symbols to export; by default all.
    since : Cursor, optional
        What the consumer holds; by default nothing.
    complete : bool
        Whether rows are put in the order of time, one per timestamp, as complete exports have them. In a delta they
        stay in order of arrival.

    Notes
    -----
    Planning costs O(symbols) and what is new; nothing is encoded before `pieces` is drawn.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        codes: Sequence[int] | None = None,
        since: Cursor | None = None,
        *,
        complete: bool = True,
    ) -> None:
        self._snapshot = snapshot
        chosen = range(len(snapshot.symbols)) if codes is None else codes
        self._codes = sorted(chosen, key=lambda code: snapshot.symbols[code])
        self.reset = since is not None and since.epoch != snapshot.epoch
        held = None if since is None or self.reset else since
        self._kinds = [KindSection(snapshot, kind, held, complete=complete) for kind in snapshot.logs]
        history_is_new = since is None or since.history is not snapshot.history
        self._history = HistorySection(snapshot, with_rows=history_is_new)

    @property
    def rows(self) -> int:
        """Rows this section carries."""
        codes = self._codes
        return sum(kind.new_rows(codes) for kind in self._kinds) + self._history.rows(codes)

    def changed_paths(self) -> list[str]:
        """Return JSON Pointers to the sections that carry rows or gap ranges, sorted."""
        paths = []
        for code in self._codes:
            symbol = self._snapshot.symbols[code].replace("~", "~0").replace("/", "~1")
            root = f"/session_data/symbols/{symbol}"
            paths += [f"{root}/session/data/{kind.kind}" for kind in self._kinds if kind.has_news(code)]
            paths += [f"{root}/historical/data/{interval}" for interval in self._history.with_news(code)]
        return sorted(paths)

    def pieces(self) -> Iterator[Piece]:
        """Yield the section's JSON text in pieces; row text is referred to, not copied."""
        snapshot = self._snapshot
        names = {code: orjson.dumps(snapshot.symbols[code]) for code in self._codes}
        yield b'{"_session_active":%s,"_active_symbols":[%s],"session":%s,"symbols":{' % (
            orjson.dumps(snapshot.active),
            b",".join(names.values()),
            orjson.dumps(self._session()),
        )
        heads = self._metric_heads()
        for place, code in enumerate(self._codes):
            yield b'%s%s:{"session":{%s,"data":{' % (b",\n" if place else b"\n", names[code], heads[code])
            first = True
            for kind in self._kinds:
                for piece in kind.pieces(code, first=first):
                    yield piece
                    first = False
            yield b'}},"historical":{'
            yield from self._history.pieces(code)
            yield b"}}"
        yield b"}}"

    def _session(self) -> dict[str, Any]:
        snapshot = self._snapshot
        local = (_EPOCH + dt.timedelta(microseconds=snapshot.now_us)).astimezone(snapshot.timezone)
        return {
            "date": None if snapshot.session is None else snapshot.session.date,
            "time": None if snapshot.session is None else local.strftime("%H:%M:%S"),
            "active": snapshot.active,
            "ended": snapshot.ended,
            "symbol_count": len(self._codes),
        }

    def _metric_heads(self) -> list[bytes]:
        metrics = self._snapshot.metrics()
        columns = (metrics.volume.tolist(), *(_numbers(values) for values in (metrics.high, metrics.low, metrics.vwap)))
        return [
            b'"volume":%d,"high":%b,"low":%b,"vwap":%b' % (volume, *rest)
            for volume, *rest in zip(*columns, strict=True)
        ]


def session_data_json(snapshot: Snapshot, codes: Sequence[int] | None = None) -> dict[str, Any]:
    """Return the complete ``session_data`` section as plain data."""
    section: dict[str, Any] = orjson.loads(b"".join(SessionSection(snapshot, codes).pieces()))
    return section


def _numbers(values: Any) -> list[bytes]:
    return [b"null" if value != value else repr(value).encode() for value in values.tolist()]
