"""`RunStatistics`: what a run did so far, as `get_backtest_summary` reports it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.columns.quality import quality_percent
from mismartera.engine.state.snapshot import Snapshot
from mismartera.engine.state.staging import Dropped, StagedDay

Ints = NDArray[np.int64]


class RunStatistics:
    """Counts of a run.

    Parameters
    ----------
    symbols : sequence of str
    phases : sequence of str
        Names of the phases that are timed.

    Attributes
    ----------
    sessions, steps : int
    wall_s : float
        Seconds from the coordinator's start to its end; 0 while it runs.
    """

    def __init__(self, symbols: Sequence[str], phases: Sequence[str]) -> None:
        self._symbols = tuple(symbols)
        self._phases = dict.fromkeys(phases, 0.0)
        self._base = ""
        self._rows: dict[str, int] = {}
        self._gap_ranges: dict[str, int] = {}
        self._missing: dict[str, Ints] = {}
        self._expected: dict[str, int] = {}
        self._bars = np.zeros(len(self._symbols), dtype=np.int64)
        self._dropped = Dropped()
        self.sessions = 0
        self.steps = 0
        self.wall_s = 0.0

    def add_phase(self, name: str, seconds: float) -> None:
        """Add to a phase's time."""
        self._phases[name] += seconds

    def add_session(self, day: StagedDay, snapshot: Snapshot) -> None:
        """Add what was visible of a session when it ended, or when the run stopped in it."""
        self.sessions += 1
        self._base = day.base
        self._dropped = self._dropped + day.dropped
        self._symbols = snapshot.symbols
        self._bars = self._padded(self._bars) + snapshot.logs[day.base].visible
        for kind, log in snapshot.logs.items():
            self._rows[kind] = self._rows.get(kind, 0) + log.rows
            gaps = snapshot.gaps(kind)
            if gaps is not None:
                self._gap_ranges[kind] = self._gap_ranges.get(kind, 0) + int(gaps.visible.sum())
                self._missing[kind] = self._padded(self._missing.get(kind, self._bars[:0])) + gaps.missing
                self._expected[kind] = self._expected.get(kind, 0) + gaps.expected

    def _padded(self, values: Ints) -> Ints:
        """Return counts by symbol with a zero for each symbol that joined since."""
        return np.concatenate([values, np.zeros(len(self._symbols) - len(values), dtype=np.int64)])

    def phase_seconds(self) -> dict[str, float]:
        """Return the seconds spent in each phase over all sessions."""
        return {name: round(seconds, 6) for name, seconds in self._phases.items()}

    def summary(self) -> dict[str, Any]:
        """Return what `SystemManager.get_backtest_summary` describes."""
        bars = self._rows.get(self._base, 0)
        return {
            "sessions": self.sessions,
            "symbols": len(self._symbols),
            "steps": self.steps,
            "bars": bars,
            "rows": dict(self._rows),
            "wall_seconds": round(self.wall_s, 6),
            "bars_per_second": round(bars / self.wall_s) if self.wall_s else None,
            "phase_seconds": self.phase_seconds(),
            "rows_outside_session": self._dropped.outside_session,
            "rows_off_grid": self._dropped.off_grid,
            "rows_duplicate": self._dropped.duplicate,
            "gap_ranges": dict(self._gap_ranges),
            "missing_bars": {kind: int(np.sum(missing)) for kind, missing in self._missing.items()},
        }

    def by_symbol(self) -> list[tuple[str, int, int, float | None]]:
        """Return symbol, base bars, missing base bars and quality in percent over all sessions, worst quality first."""
        missing = self._missing.get(self._base)
        if missing is None:
            return [(symbol, int(bars), 0, None) for symbol, bars in zip(self._symbols, self._bars, strict=True)]
        quality = quality_percent(missing, self._expected[self._base])
        order = np.lexsort((np.arange(len(quality)), quality))
        return [
            (
                self._symbols[at],
                int(self._bars[at]),
                int(missing[at]),
                None if np.isnan(quality[at]) else float(quality[at]),
            )
            for at in order.tolist()
        ]
