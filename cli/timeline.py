"""A session's bars drawn in text: one line per symbol, blocks where bars are, dots where they are missing."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CELLS_S = (60, 120, 300, 600, 900, 1800, 3600)
_WIDTH = 100  # into a pipe, and the most on a terminal


@dataclass(frozen=True, slots=True)
class Day:
    """A session in seconds since local midnight.

    Attributes
    ----------
    segments : tuple of (int, int)
        When the exchange trades: start and end of each segment.
    now_s : int
        The instant of the export; beyond the close once the session is over.
    """

    segments: tuple[tuple[int, int], ...]
    now_s: int

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Day | None:
        """Return the session of an export; None where it lies in none."""
        session = document["time_manager"].get("current_session")
        if not session:
            return None
        midnight = dt.datetime.fromisoformat(session["open"]).replace(hour=0, minute=0, second=0, microsecond=0)

        def seconds(text: str) -> int:
            return int((dt.datetime.fromisoformat(text) - midnight).total_seconds())

        stops = [seconds(session["open"])]
        for start, stop in session.get("breaks", []):
            stops += [seconds(start), seconds(stop)]
        stops.append(seconds(session["close"]))
        segments = tuple(zip(stops[::2], stops[1::2], strict=True))
        return cls(segments, seconds(document["time_manager"]["current_time"]))


def timeline(day: Day, interval_s: int, rows: Mapping[str, Sequence[str]], width: int | None = None) -> Iterator[str]:
    """Yield the lines of a drawing: hours above, then one line per symbol.

    Parameters
    ----------
    day : Day
    interval_s : int
        Length of a bar, seconds.
    rows : mapping of str to sequence of str
        By symbol: starts of the bars that are there, ``"HH:MM:SS"``.
    width : int, optional
        Columns to fill; by default those of the terminal, at most 100.
    """
    label = max(map(len, rows), default=0) + 1
    columns = (width or min(shutil.get_terminal_size((_WIDTH, 24)).columns, _WIDTH)) - label
    opened, closed = day.segments[0][0], day.segments[-1][1]
    cell_s = next((size for size in _CELLS_S if -(-(closed - opened) // size) <= columns), _CELLS_S[-1])
    cell_s = max(cell_s, interval_s)
    starts = np.concatenate([np.arange(start, stop, interval_s) for start, stop in day.segments])
    ends = np.concatenate([np.minimum(np.arange(a, b, interval_s) + interval_s, b) for a, b in day.segments])
    due = starts[ends <= day.now_s]
    count = -(-(closed - opened) // cell_s)
    expected = np.bincount((due - opened) // cell_s, minlength=count)
    yield " " * label + _hours(opened, count, cell_s)
    for symbol, stamps in rows.items():
        present = np.intersect1d(due, _seconds(stamps))
        there = np.bincount((present - opened) // cell_s, minlength=count)
        cells = np.select([expected == 0, there == expected, there > 0], [" ", "█", "▒"], "·")
        yield f"{symbol:<{label}}{''.join(cells.tolist())}".rstrip()


def _seconds(stamps: Sequence[str]) -> NDArray[np.int64]:
    """Return texts ``HH:MM:SS`` as seconds since midnight."""
    if not stamps:
        return np.zeros(0, dtype=np.int64)
    parts = np.array([stamp.split(":") for stamp in stamps], dtype=np.int64)
    seconds: NDArray[np.int64] = parts @ np.array([3600, 60, 1])
    return seconds


def _hours(opened: int, count: int, cell_s: int) -> str:
    """Return the line of the hours: the open, then every full hour there is room for."""
    line = ""
    for second in [opened, *range(-(-opened // 3600) * 3600, opened + count * cell_s, 3600)]:
        at = (second - opened) // cell_s
        if not line or at > len(line):
            line = line.ljust(at) + f"{second // 3600:02d}:{second % 3600 // 60:02d}"
    return line
