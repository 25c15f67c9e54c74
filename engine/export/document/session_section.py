"""The ``session_data`` section: planned from a snapshot and a cursor, then written piece by piece."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from mismartera.engine.export.consumers.cursor import Cursor
from mismartera.engine.export.consumers.filter import EVENTS, EVERYTHING, ExportFilter, select
from mismartera.engine.state.snapshot import Snapshot

from .history_section import HistorySection
from .kind_section import KindSection, number_texts
from .row_texts import RowTexts
from .rows import BAR_COLUMNS, columns_of

Piece = bytes | memoryview

_JOIN_BELOW = 16_384  # bytes of a symbol; more is handed on without a copy
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class SessionSection:
    """What of a session goes into one export.

    Parameters
    ----------
    snapshot : Snapshot
    since : Cursor, optional
        What the consumer holds; by default nothing.
    complete : bool
        Whether rows are put in the order of time, one per timestamp, as complete exports have them. In a delta they
        stay in order of arrival.
    only : ExportFilter
        The consumer's part of the session.

    Attributes
    ----------
    reset : bool
        Whether the session rolled over since the cursor.
    snapshot, since, complete, only
        As given.
    selection : Selection
        Its symbols.

    Notes
    -----
    Planning costs O(symbols) and what is new; no row is encoded before `pieces` is drawn.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        since: Cursor | None = None,
        *,
        complete: bool = True,
        only: ExportFilter = EVERYTHING,
    ) -> None:
        self.snapshot, self.since, self.complete, self.only = snapshot, since, complete, only
        self.selection = select(snapshot.symbols, only.symbols)
        self.reset = since is not None and since.epoch != snapshot.epoch
        held = None if since is None or self.reset else since
        codes = self.selection.codes
        kinds = snapshot.logs if only.passes_part("session") else ()
        bars = RowTexts(snapshot, BAR_COLUMNS)
        self._kinds = [
            KindSection(
                snapshot,
                kind,
                codes,
                held,
                RowTexts(snapshot, columns_of(kind)) if kind in EVENTS else bars,
                complete=complete,
            )
            for kind in kinds
            if only.passes_kind(kind)
        ]
        self._history = HistorySection(snapshot, codes, since, bars, only)

    @property
    def rows(self) -> int:
        """Rows this section carries."""
        rows: int = sum(kind.rows for kind in self._kinds) + self._history.rows
        return rows

    def changed_paths(self) -> list[str]:
        """Return JSON Pointers to the sections that carry rows or gap ranges, sorted."""
        pointers = self.selection.pointers
        paths = [f"{pointers[at]}/session/data/{kind.kind}" for kind in self._kinds for at in kind.with_news()]
        paths += [f"{pointers[at]}/historical/data/{interval}" for interval, at in self._history.with_news()]
        return sorted(paths)

    def pieces(self) -> Iterator[Piece]:
        """Yield the section's JSON text in pieces; row text is referred to, not copied."""
        names = self.selection.names
        yield b'{"_session_active":%s,"_active_symbols":[%s],"session":%s,"symbols":{' % (
            orjson.dumps(self.snapshot.active),
            b",".join(names),
            orjson.dumps(self._session()),
        )
        heads = self._metric_heads(self.selection.codes)
        kinds = [kind.parts() for kind in self._kinds]
        for at, name in enumerate(names):
            parts: list[Piece] = [b'%s%s:{"session":{%s,"data":{' % (b",\n" if at else b"\n", name, heads[at])]
            comma = False
            for kind in kinds:
                if kind[at]:
                    if comma:
                        parts.append(b",")
                    parts += kind[at]
                    comma = True
            parts.append(b'}},"historical":{')
            parts += self._history.parts(at)
            parts.append(b"}}")
            if sum(map(len, parts)) <= _JOIN_BELOW:
                yield b"".join(parts)
            else:
                yield from parts
        yield b"}}"

    def head(self) -> dict[str, Any]:
        """Return the section without its symbols, as plain data."""
        names = [self.snapshot.symbols[code] for code in self.selection.codes.tolist()]
        return {"_session_active": self.snapshot.active, "_active_symbols": names, "session": self._session()}

    def _session(self) -> dict[str, Any]:
        snapshot = self.snapshot
        local = (_EPOCH + dt.timedelta(microseconds=snapshot.now_us)).astimezone(snapshot.timezone)
        return {
            "date": None if snapshot.session is None else snapshot.session.date,
            "time": None if snapshot.session is None else local.strftime("%H:%M:%S"),
            "active": snapshot.active,
            "ended": snapshot.ended,
            "symbol_count": len(self.selection.names),
        }

    def _metric_heads(self, codes: NDArray[np.int64]) -> list[bytes]:
        metrics = self.snapshot.metrics()
        prices = (number_texts(values[codes]) for values in (metrics.high, metrics.low, metrics.vwap))
        return [
            b'"volume":%d,"high":%b,"low":%b,"vwap":%b' % row
            for row in zip(metrics.volume[codes].tolist(), *prices, strict=True)
        ]
