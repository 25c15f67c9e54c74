"""`Snapshot`: the whole state at one instant, as references to immutable columns and row counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from mismartera.engine.columns.metrics import SessionMetrics
from mismartera.engine.log.text_cache import TextCache
from mismartera.engine.log.view import LogView
from mismartera.engine.time.calendar import TradingSession

from .history import History
from .kind_state import KindColumns, KindState
from .staging import Dropped


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What of the state stays as it is from one instant to the next.

    Attributes
    ----------
    symbols : tuple of str
        Registered symbols; their place is their code.
    session : TradingSession or None
    active, ended : bool
    base : str
        The streamed interval.
    columns : mapping
        By data type.
    history : History
    timezone : ZoneInfo
        The exchange's zone.
    text_cache : TextCache
        Bounds the encoded text kept with the segments.
    epoch : int
        Grows whenever the session's rows start over.
    dropped : Dropped
        Rows that were left out of the session.
    """

    symbols: tuple[str, ...]
    session: TradingSession | None
    active: bool
    ended: bool
    base: str
    columns: Mapping[str, KindColumns]
    history: History
    timezone: ZoneInfo
    text_cache: TextCache
    epoch: int
    dropped: Dropped


class Snapshot:
    """The state at one instant of the engine's clock, consistent across symbols and intervals.

    Attributes
    ----------
    frame : Frame
    now_us : int
        The instant, UTC microseconds.
    logs : mapping
        Visible rows of the session by data type, ascending interval first.
    steps : int
        Instants the clock has visited in this session.

    Notes
    -----
    Safe to read from any thread, at any time; nothing in it changes. What is computed from it is kept on first use.
    """

    __slots__ = ("_kinds", "frame", "logs", "now_us", "steps")

    def __init__(self, frame: Frame, now_us: int, logs: Mapping[str, LogView], steps: int) -> None:
        self.frame, self.now_us, self.logs, self.steps = frame, now_us, logs, steps
        self._kinds: dict[str, KindState] | None = None

    def __repr__(self) -> str:
        """Return the instant and the rows in a line."""
        rows = sum(log.rows for log in self.logs.values())
        return f"Snapshot(now_us={self.now_us}, symbols={len(self.symbols)}, rows={rows})"

    @property
    def symbols(self) -> tuple[str, ...]:
        """Registered symbols; their place is their code."""
        return self.frame.symbols

    @property
    def session(self) -> TradingSession | None:
        """The session, once one has begun."""
        return self.frame.session

    @property
    def active(self) -> bool:
        """Whether the session is open for readers."""
        return self.frame.active

    @property
    def ended(self) -> bool:
        """Whether the session has ended."""
        return self.frame.ended

    @property
    def base(self) -> str:
        """The streamed interval."""
        return self.frame.base

    @property
    def history(self) -> History:
        """The sessions before this one."""
        return self.frame.history

    @property
    def timezone(self) -> ZoneInfo:
        """The exchange's zone."""
        return self.frame.timezone

    @property
    def text_cache(self) -> TextCache:
        """Bounds the encoded text kept with the segments."""
        return self.frame.text_cache

    @property
    def epoch(self) -> int:
        """Grows whenever the session's rows start over."""
        return self.frame.epoch

    @property
    def dropped(self) -> Dropped:
        """Rows that were left out of the session."""
        return self.frame.dropped

    @property
    def kinds(self) -> Mapping[str, KindState]:
        """Every data type of the session, ascending interval first."""
        if self._kinds is None:
            columns, now_us = self.frame.columns, self.now_us
            self._kinds = {kind: KindState(columns[kind], log, now_us) for kind, log in self.logs.items()}
        return self._kinds

    def metrics(self) -> SessionMetrics:
        """Return volume, high, low and vwap of each symbol by now."""
        return self.kinds[self.frame.base].metrics()
