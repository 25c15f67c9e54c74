"""`ExportLog`: what each delivered export cost."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from mismartera.engine.time.clock import Stopwatch

Piece = bytes | memoryview
_CHUNK = 1 << 20
_KEPT = 10_000
_PERCENTILES_OVER = 1_000


@dataclass(slots=True)
class ExportTiming:
    """One delivered export.

    Attributes
    ----------
    consumer, mode, format : str
    sequence : int
    generated_at : str
        Engine clock, in the exchange's zone.
    rows, bytes : int
        Rows carried; bytes handed to the sink, before compression.
    snapshot_s, encode_s, write_s, sync_s : float
        Seconds to plan it from the snapshot, to encode it, to hand it to the sink, to make it durable.
    """

    consumer: str
    sequence: int
    mode: str
    format: str
    generated_at: str
    rows: int
    bytes: int
    snapshot_s: float
    encode_s: float
    write_s: float
    sync_s: float

    @property
    def total_s(self) -> float:
        """Seconds in all."""
        return self.snapshot_s + self.encode_s + self.write_s + self.sync_s


class _Window:
    """The last 1,000 values of a figure, kept in order, so that a percentile is a look-up."""

    def __init__(self) -> None:
        self._arrived: deque[float] = deque()
        self._ordered: list[float] = []

    def add(self, value: float) -> None:
        if len(self._arrived) == _PERCENTILES_OVER:
            del self._ordered[bisect_left(self._ordered, self._arrived.popleft())]
        self._arrived.append(value)
        insort(self._ordered, value)

    def percentiles(self) -> tuple[float, float]:
        """Return the values that half, and 99 in 100, do not exceed (nearest rank)."""
        ordered, count = self._ordered, len(self._ordered)
        return ordered[(count + 1) // 2 - 1], ordered[-(-count * 99 // 100) - 1]


class ExportLog:
    """Timings of the last 10,000 delivered exports, oldest first. Thread-safe."""

    def __init__(self) -> None:
        self._entries: deque[ExportTiming] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._windows: dict[str, _Window] = {}

    def add(self, timing: ExportTiming) -> None:
        """Keep the timing of a delivered export."""
        with self._lock:
            self._entries.append(timing)
            mode = timing.mode
            if mode not in self._counts:
                self._counts[mode], self._windows[mode] = 0, _Window()
            self._counts[mode] += 1
            self._windows[mode].add(round(timing.total_s * 1e3, 3))

    def entries(self) -> list[dict[str, Any]]:
        """Return the timings as plain data, oldest first, each with ``total_s``."""
        with self._lock:
            held = list(self._entries)
        return [asdict(timing) | {"total_s": timing.total_s} for timing in held]

    def summary(self) -> dict[str, Any]:
        """Return the number of exports and, by mode, p50 and p99 of milliseconds over the last 1,000."""
        with self._lock:
            summary: dict[str, Any] = {"count": sum(self._counts.values())}
            for mode, count in self._counts.items():
                p50, p99 = self._windows[mode].percentiles()
                summary[mode] = {"count": count, "p50_ms": p50, "p99_ms": p99}
            return summary


@dataclass(slots=True)
class Drained:
    """What went through `drain`: bytes, and the seconds either side took."""

    bytes: int = 0
    encode_s: float = 0.0
    write_s: float = 0.0


def drain(pieces: Iterable[Piece], write: Callable[[list[Piece]], object]) -> Drained:
    """Hand pieces to a sink about a mebibyte at a time, and measure making and writing them apart.

    Parameters
    ----------
    pieces : iterable of bytes-like
        Drawn as the sink takes them, so no more than a chunk is held.
    write : callable
        Takes a list of pieces, such as ``file.writelines``.
    """
    done = Drained()
    iterator = iter(pieces)
    while True:
        watch = Stopwatch()
        chunk, size = _chunk(iterator)
        done.encode_s += watch.elapsed_s
        if not chunk:
            return done
        watch = Stopwatch()
        write(chunk)
        done.write_s += watch.elapsed_s
        done.bytes += size


def _chunk(pieces: Iterator[Piece]) -> tuple[list[Piece], int]:
    chunk: list[Piece] = []
    size = 0
    for piece in pieces:
        chunk.append(piece)
        size += len(piece)
        if size >= _CHUNK:
            break
    return chunk, size
