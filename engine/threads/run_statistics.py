"""`RunStatistics`: what a run did so far, as `get_backtest_summary` reports it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.columns.quality import quality_percent
from mismartera.engine.state.snapshot import Snapshot
from mismartera.engine.state.staging import Dropped

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
    sessions : int
        Those that ended.
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
        self._steps = 0
        self._last_epoch = -1

    def add_phase(self, name: str, seconds: float) -> None:
        """Add to a phase's time."""
        self._phases[name] = round(self._phases[name] + seconds, 6)

    def add_session(self, snapshot: Snapshot, *, ended: bool) -> None:
        """Add what was visible of a session when it `ended`, or when the run stopped in it."""
        self.sessions += ended
        self._base = snapshot.base
        self._last_epoch = snapshot.epoch
        self._steps += snapshot.steps
        self._dropped = self._dropped + snapshot.dropped
        self._symbols = snapshot.symbols
        self._bars = self._padded(self._bars) + snapshot.logs[snapshot.base].visible
        for text, kind in snapshot.kinds.items():
            self._rows[text] = self._rows.get(text, 0) + kind.log.rows
            if kind.columns.scored and kind.gaps is not None:
                self._gap_ranges[text] = self._gap_ranges.get(text, 0) + kind.gaps.totals[0]
                self._missing[text] = self._padded(self._missing.get(text, self._bars[:0])) + kind.missing
                self._expected[text] = self._expected.get(text, 0) + kind.expected

    def _padded(self, values: Ints) -> Ints:
        """Return counts by symbol with a zero for each symbol that joined since."""
        return np.concatenate([values, np.zeros(len(self._symbols) - len(values), dtype=np.int64)])

    def phase_seconds(self) -> dict[str, float]:
        """Return the seconds spent in each phase over all sessions."""
        return dict(self._phases)

    def summary(self, snapshot: Snapshot, wall_s: float) -> dict[str, Any]:
        """Return what `SystemManager.get_backtest_summary` describes, by the instant of `snapshot`.

        Cost: O(symbols) for the session that streams; what ended is summed up already.
        """
        rows, ranges = dict(self._rows), dict(self._gap_ranges)
        missing = {kind: int(np.add.reduce(held)) for kind, held in self._missing.items()}
        steps = self._steps
        if snapshot.session is not None and snapshot.epoch != self._last_epoch:
            steps += snapshot.steps
            for text, kind in snapshot.kinds.items():
                rows[text] = rows.get(text, 0) + kind.log.rows
                if kind.columns.scored and kind.gaps is not None:
                    totals = kind.gaps.totals
                    ranges[text] = ranges.get(text, 0) + totals[0]
                    missing[text] = missing.get(text, 0) + totals[1]
        bars = rows.get(snapshot.base, 0)
        return {
            "sessions": self.sessions,
            "symbols": len(snapshot.symbols),
            "steps": steps,
            "bars": bars,
            "rows": rows,
            "wall_seconds": round(wall_s, 6),
            "bars_per_second": round(bars / wall_s) if wall_s else None,
            "phase_seconds": self.phase_seconds(),
            "rows_outside_session": self._dropped.outside_session,
            "rows_off_grid": self._dropped.off_grid,
            "rows_duplicate": self._dropped.duplicate,
            "rows_invalid": self._dropped.invalid,
            "gap_ranges": ranges,
            "missing_bars": missing,
        }

    def by_symbol(self) -> list[tuple[str, int, int | None, float | None]]:
        """Return symbol, base bars, missing ones and quality in percent, worst first; None where quality is off."""
        missing = self._missing.get(self._base)
        if missing is None:
            return [(symbol, int(bars), None, None) for symbol, bars in zip(self._symbols, self._bars, strict=True)]
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
