"""`ExportFilter`: the part of a session a consumer is interested in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import orjson
from numpy.typing import NDArray

from mismartera.engine.state.snapshot import Snapshot
from mismartera.schemas.errors import UnknownNameError
from mismartera.schemas.interval import Interval

Ints = NDArray[np.int64]

SECTIONS = ("session", "historical")
EVENTS = ("ticks", "quotes")


@dataclass(frozen=True, slots=True)
class ExportFilter:
    """What a consumer's exports hold; None means everything.

    Attributes
    ----------
    symbols : frozenset of str or None
    intervals : frozenset of str or None
        Texts of bar intervals, ``"ticks"``, ``"quotes"``.
    sections : frozenset of str or None
        Of ``"session"`` and ``"historical"``. Session metrics are sent in any case.
    """

    symbols: frozenset[str] | None = None
    intervals: frozenset[str] | None = None
    sections: frozenset[str] | None = None

    @classmethod
    def of(
        cls,
        snapshot: Snapshot,
        symbols: Sequence[str] | None = None,
        intervals: Sequence[Interval | int | str] | None = None,
        sections: Sequence[str] | None = None,
    ) -> ExportFilter:
        """Return a filter for what `snapshot` holds.

        Raises
        ------
        UnknownNameError
            If it holds no such symbol, interval or section; the message lists those there are.
        """
        kinds = [item if item in EVENTS else Interval(item).text for item in intervals or ()]
        there = {*snapshot.logs, *snapshot.history.intervals, *EVENTS}
        checks = (("symbol", symbols, snapshot.symbols), ("interval", kinds, there), ("section", sections, SECTIONS))
        for what, wanted, available in checks:
            for name in wanted or ():
                if name not in available:
                    raise UnknownNameError(what, str(name), sorted(available))
        return cls(
            None if symbols is None else frozenset(symbols),
            None if intervals is None else frozenset(str(kind) for kind in kinds),
            None if sections is None else frozenset(sections),
        )

    def passes_kind(self, kind: str) -> bool:
        """Return whether an interval, ticks or quotes pass."""
        return self.intervals is None or kind in self.intervals

    def passes_section(self, section: str) -> bool:
        """Return whether ``"session"`` or ``"historical"`` passes."""
        return self.sections is None or section in self.sections


EVERYTHING = ExportFilter()


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
