"""`SessionQueue`: the staged tail of a day, and the step that makes its rows visible."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from mismartera.engine.log.segment import Segment
from mismartera.engine.log.timetable import Timetable
from mismartera.engine.log.view import LogView
from mismartera.engine.state.staging import StagedDay


@dataclass(slots=True)
class _Tail:
    """One data type's rows: `position` of its timetable is visible, the rest waits."""

    segment: Segment
    timetable: Timetable
    at_step: list[int]
    view: LogView
    position: int = 0


class SessionQueue:
    """What of a staged day is not visible yet. The queue is the tail of the day's segments: nothing is moved.

    Parameters
    ----------
    day : StagedDay
    n_symbols : int

    Attributes
    ----------
    steps : list of int
        Instants the clock visits, UTC microseconds, ascending.
    step : int
        How many of them it has visited.
    """

    def __init__(self, day: StagedDay, n_symbols: int) -> None:
        steps = day.steps()
        self.steps: list[int] = steps.tolist()
        self.step = 0
        none = np.zeros(n_symbols, dtype=np.int64)
        self._tails = {
            name: _Tail(
                kind.segment,
                kind.timetable,
                [0, *kind.timetable.positions(steps).tolist()],
                LogView((kind.segment,), none, kind.segment.batch.schema, until_us=-1),
            )
            for name, kind in day.kinds.items()
        }

    def peek_queue_timestamp(self, code: int | None = None, kind: str | None = None) -> int | None:
        """Return when the next row becomes visible, UTC microseconds; None where nothing waits.

        Parameters
        ----------
        code : int, optional
            Of one symbol alone.
        kind : str, optional
            Of one data type alone.
        """
        tails = self._tails.values() if kind is None else [self._tails[kind]]
        heads = [head for head in (self._head(tail, code) for tail in tails) if head is not None]
        return min(heads, default=None)

    def consume_queue(self, until_us: int) -> dict[str, LogView]:
        """Make every row visible that is available at `until_us`, and return all views.

        Notes
        -----
        Costs O(symbols + rows that become visible) in two array operations per data type that has any; the rows
        themselves are not touched.
        """
        self.step = step = bisect_right(self.steps, until_us)
        for tail in self._tails.values():
            stop = tail.at_step[step]
            if stop > tail.position:
                visible = tail.timetable.advance(tail.view.visible, tail.position, stop)
                tail.view = LogView(tail.view.segments, visible, tail.view.schema, until_us=until_us)
                tail.position = stop
        return {kind: tail.view for kind, tail in self._tails.items()}

    def waiting(self) -> dict[str, int]:
        """Return, by data type, how many rows are staged and not visible."""
        return {kind: len(tail.timetable.rows) - tail.position for kind, tail in self._tails.items()}

    @staticmethod
    def _head(tail: _Tail, code: int | None) -> int | None:
        if code is None:
            at = int(np.searchsorted(tail.timetable.bounds, tail.position, side="right")) - 1
            return int(tail.timetable.times[at]) if at < len(tail.timetable.times) else None
        row = int(tail.view.visible[code])
        if row >= int(tail.segment.count[code]):
            return None
        return int(tail.segment.column("available_at")[int(tail.segment.start[code]) + row])
