"""`ExportFilter`: the part of a session a consumer is interested in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from mismartera.engine.state.snapshot import Snapshot
from mismartera.schemas.config import HistoricalConfig
from mismartera.schemas.errors import DataError, UnknownNameError
from mismartera.schemas.interval import Interval

Ints = NDArray[np.int64]

PARTS = ("session", "historical")
EVENTS = ("ticks", "quotes")


@dataclass(frozen=True, slots=True)
class ExportFilter:
    """What a consumer's exports hold; None means everything.

    Attributes
    ----------
    symbols : frozenset of str or None
    intervals : frozenset of str or None
        Texts of bar intervals, ``"ticks"``, ``"quotes"``.
    parts : frozenset of str or None
        Of ``"session"`` and ``"historical"``. Session metrics are sent in any case.
    """

    symbols: frozenset[str] | None = None
    intervals: frozenset[str] | None = None
    parts: frozenset[str] | None = None

    @classmethod
    def of(
        cls,
        snapshot: Snapshot,
        symbols: Iterable[str] | None = None,
        intervals: Iterable[Interval | int | str] | None = None,
        parts: Iterable[str] | None = None,
        history: HistoricalConfig | None = None,
    ) -> ExportFilter:
        """Return a filter for what `snapshot` holds, and for the intervals of `history`, which sessions bring.

        Raises
        ------
        DataError
            If something given is no list, or an empty one.
        UnknownNameError
            If there is no such symbol, interval or part; the message lists those there are.
        """
        kinds = [item if item in EVENTS else Interval(item).text for item in _given("intervals", intervals)]
        coming = [entry.interval.text for entry in history.data] if history and history.enabled else ()
        there = {*snapshot.logs, *snapshot.history.intervals, *EVENTS, *coming}
        names, chosen = _given("symbols", symbols), _given("parts", parts)
        for what, wanted, available in (
            ("symbol", names, snapshot.symbols),
            ("interval", kinds, there),
            ("part", chosen, PARTS),
        ):
            for name in wanted:
                if name not in available:
                    raise UnknownNameError(what, str(name), sorted(available))
        return cls(*(frozenset(given) or None for given in (names, kinds, chosen)))

    def passes_kind(self, kind: str) -> bool:
        """Return whether an interval, ticks or quotes pass."""
        return self.intervals is None or kind in self.intervals

    def passes_part(self, part: str) -> bool:
        """Return whether ``"session"`` or ``"historical"`` passes."""
        return self.parts is None or part in self.parts


EVERYTHING = ExportFilter()


def _given(what: str, wanted: Iterable[Any] | None) -> tuple[Any, ...]:
    """Return what was given as a list; nothing only where nothing was given, which means everything."""
    if wanted is None:
        return ()
    if isinstance(wanted, str | bytes) or not isinstance(wanted, Iterable):
        example = f", such as [{wanted!r}]" if isinstance(wanted, str) else ""
        raise DataError(f"{what}: expected a list{example}; it was {wanted!r}")
    names = tuple(wanted)
    if not names:
        raise DataError(f"{what}: expected one or more, it was an empty list; leave {what} out for all there are")
    return names


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The symbols of an export, in its order: by name.

    Attributes
    ----------
    codes : int64 array
    names : tuple of bytes
        The symbols as JSON strings.
    pointers : tuple of str
        JSON Pointers to the symbols' objects.
    """

    codes: Ints
    names: tuple[bytes, ...]
    pointers: tuple[str, ...]


@lru_cache(maxsize=64)
def select(symbols: tuple[str, ...], wanted: frozenset[str] | None) -> Selection:
    """Return the selection of `wanted` among the registered symbols; kept, for every export of a consumer needs it."""
    chosen = (code for code, symbol in enumerate(symbols) if wanted is None or symbol in wanted)
    codes = sorted(chosen, key=symbols.__getitem__)
    pointers = (symbols[code].replace("~", "~0").replace("/", "~1") for code in codes)
    return Selection(
        np.array(codes, dtype=np.int64),
        tuple(orjson.dumps(symbols[code]) for code in codes),
        tuple(f"/session_data/symbols/{pointer}" for pointer in pointers),
    )
