"""`TablePlan`: which rows and figures of a snapshot the tables of one export carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.export.consumers.cursor import Cursor
from mismartera.engine.export.document.session_section import SessionSection
from mismartera.engine.log.view import held_offsets
from mismartera.engine.state.history import History, HistoryInterval
from mismartera.engine.state.snapshot import Snapshot

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TablePlan:
    """What an export carries, as numbers. A symbol's place is its place in the export: by name.

    Attributes
    ----------
    snapshot : Snapshot
    held : Cursor or None
        What the consumer holds of this session.
    complete : bool
    codes : int64 array
        Codes of the symbols, by place.
    names : pyarrow.Array
        The symbols, by place.
    session_kinds : tuple of str
        Data types of the session.
    history_intervals : mapping
        Intervals of the history that pass the consumer's filter.
    fresh_history : bool array
        Whether a symbol's history is carried, by place.
    shows_history : bool
        Whether the consumer's filter lets history pass.
    """

    snapshot: Snapshot
    held: Cursor | None
    complete: bool
    codes: Ints
    names: pa.Array
    session_kinds: tuple[str, ...]
    history_intervals: Mapping[str, HistoryInterval]
    fresh_history: NDArray[np.bool_]
    shows_history: bool

    @classmethod
    def of(cls, section: SessionSection) -> TablePlan:
        """Return the plan of an export's session section. Cost: O(symbols)."""
        snapshot, only, since = section.snapshot, section.only, section.since
        codes = section.selection.codes
        shows = only.passes_part("historical")
        history = snapshot.history.intervals if shows else {}
        kinds = snapshot.logs if only.passes_part("session") else ()
        return cls(
            snapshot,
            None if section.reset else since,
            section.complete,
            codes,
            names_of([snapshot.symbols[code] for code in codes.tolist()]),
            tuple(kind for kind in kinds if only.passes_kind(kind)),
            {text: interval for text, interval in history.items() if only.passes_kind(text)},
            _fresh(snapshot.history, codes, since),
            shows,
        )

    @property
    def n_symbols(self) -> int:
        """Registered symbols, in the export or not."""
        return len(self.snapshot.symbols)

    def starts(self, kind: str) -> Ints:
        """Return the row offset up to which the consumer holds each symbol's rows."""
        visible = self.snapshot.logs[kind].visible
        return held_offsets(None if self.held is None else self.held.rows, kind, visible)[self.codes]

    def symbols(self, places: Ints) -> pa.DictionaryArray:
        """Return the symbols at `places`."""
        return pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int32)), self.names)

    def places(self) -> Ints:
        """Return the place of each symbol code; -1 for symbols that are not in the export."""
        places = np.full(self.n_symbols, -1, dtype=np.int64)
        places[self.codes] = np.arange(len(self.codes))
        return places


def _fresh(history: History, codes: Ints, since: Cursor | None) -> NDArray[np.bool_]:
    if since is None or not len(history.changed):
        return np.full(len(codes), since is None)
    fresh: NDArray[np.bool_] = history.changed[codes] > since.history
    return fresh


def names_of(texts: list[str]) -> pa.Array:
    """Return texts as the dictionary of a column of names."""
    return pa.array(texts, pa.string())


def constant(text: str, count: int) -> pa.DictionaryArray:
    """Return a column that repeats one name."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype=np.int32)), names_of([text]))


def null_dates(count: int) -> pa.Array:
    """Return a column of dates that are not known."""
    return pa.nulls(count, pa.date32())
