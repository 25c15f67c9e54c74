"""What exports cost: complete ones first and cached, deltas, and how neither grows with what is held."""

from __future__ import annotations

import datetime as dt
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.log.segment import Segment
from mismartera.engine.state.snapshot import Snapshot
from mismartera.engine.system.system_manager import SystemManager

from . import naive
from .setup import DERIVED, catalog, config
from .timing import RUNS, Figure, Row, alternate, once, repeat, show

WEDNESDAY = dt.date(2025, 6, 11)
_ONE_FROM = dt.date(2025, 4, 14)  # 40 sessions before and with WEDNESDAY have their first here
_MANY_FROM = dt.date(2025, 5, 13)  # likewise 20 and more
_LONG_FROM = dt.date(2025, 1, 2)
_MB = 2**20
_PROCESSES = 5


class Sink:
    """Takes pieces as a socket does: each is copied into a buffer of fixed size, which is used again and again."""

    def __init__(self) -> None:
        self._buffer = bytearray(4 * _MB)
        self.bytes = 0

    def drain(self, pieces: Iterable[bytes | memoryview]) -> None:
        at, room = 0, len(self._buffer)
        for piece in pieces:
            size = len(piece)
            self.bytes += size
            for begin in range(0, size, room) if size > room else ():
                part = piece[begin : begin + room]
                self._buffer[: len(part)] = part
            if size <= room:
                at = 0 if at + size > room else at
                self._buffer[at : at + size] = piece
                at += size


def run() -> bool:
    """Measure, print, and return whether the targets were met."""
    rows = [*_one_symbol(), *_many_symbols(), *_complete_many(), *_growth()]
    return show(
        "Exports",
        rows,
        [
            "complete: timed from export() to the last byte in memory; delta: from export() to acknowledge()",
            "first: no row text is kept yet; again: the text of every row is at hand, the document is made anew",
            "naive: row objects in lists per symbol and interval, walked and dumped with json; it writes the same "
            "session_data (checked to be equal), with metrics, quality and gaps at hand, and no other section",
            "MB are 2^20 bytes; the 500-symbol exports go through a 4 MB buffer as through a socket",
            "extra memory: VmHWM over the first complete export minus VmRSS before it, minus the text and offsets kept",
        ],
    )


def _one_symbol() -> list[Row]:
    with catalog(1, _ONE_FROM, WEDNESDAY) as source:
        system = _system(source, 1, 39)
        system.run()
        snapshot = system.snapshot
        held = naive.objects_of(snapshot)

        def complete() -> bytes:
            return b"".join(system.export(complete=True).pieces())

        if json.loads(complete())["session_data"] != json.loads(naive.complete(held)):
            raise AssertionError("the naive export differs from the engine's")
        buffer = BytesIO(bytes(2 * len(complete())))

        def into_buffer() -> None:
            buffer.seek(0)
            buffer.writelines(system.export(complete=True).pieces())

        figures = alternate(
            {"first": complete, "again": into_buffer, "bytes": complete, "naive": lambda: naive.complete(held)},
            {"first": lambda: forget(snapshot)},
            runs=15,
        )
        full, arrays, objects = len(complete()), len(naive.complete(held)), len(naive.complete(held, naive.as_object))
        deltas = [_deltas(source, 1, 39) for _ in range(RUNS)]
        one = Figure(tuple(seconds for run, _ in deltas for seconds in run))
        size = deltas[0][1]
    first, again, slow = figures["first"], figures["again"], figures["naive"]
    bars = sum(int(log.rows) for kind, log in snapshot.logs.items() if kind == "1m")
    past = int(snapshot.history.intervals["1m"].count.sum())
    name = f"complete, 1 symbol, {bars} session + {past:,} historical bars"
    gain = slow.median / first.median
    smaller = round(100 * (1 - size / full), 1)
    return [
        Row(f"{name}, naive", slow.text(1e3, 2, "ms")),
        Row(f"{name}, first", first.text(1e3, 2, "ms"), "under 8 ms", first.median < 8e-3),
        Row("  naive / first", f"{gain:.1f}", "at least 8", gain >= 8),
        Row("  again, as a new bytes object", figures["bytes"].text(1e3, 3, "ms")),
        Row("  again, to memory that is there", again.text(1e3, 3, "ms"), "under 1 ms", again.median < 1e-3),
        Row("delta, 1 new bar, same symbol, p50", one.text(1e6, 0, "µs"), "under 150 µs", one.median < 150e-6),
        Row("  p99", f"{one.quantile(0.99) * 1e6:,.0f} µs", "under 1,000 µs", one.quantile(0.99) < 1e-3),
        Row("  size: delta / complete", f"{size:,} / {full:,} bytes, {smaller} % less", "99.7 % less", smaller >= 99.7),
        Row(
            "  size: rows as arrays / as objects (both naive)",
            f"{arrays:,} / {objects:,} bytes, {100 * (1 - arrays / objects):.0f} % less",
        ),
    ]


def _many_symbols() -> list[Row]:
    with catalog(500, WEDNESDAY, WEDNESDAY) as source:
        runs = [_deltas(source, 500, 0, derived=("5m", "15m")) for _ in range(3)]
        figure = Figure(tuple(seconds for run, _ in runs for seconds in run))
        system = _system(source, 500, 0, ("5m", "15m"))
        system.run()
        held = naive.objects_of(system.snapshot)
        for symbol in held.symbols.values():
            symbol.sent = {kind: len(bars.rows) - (kind == "1m") for kind, bars in symbol.session.items()}
        slow = repeat(lambda: naive.delta(held))
    return [
        Row("delta, 500 symbols × 3 intervals, 1 new 1m bar each, naive", slow.text(1e3, 2, "ms")),
        Row("  p50", figure.text(1e3, 2, "ms"), "under 6 ms", figure.median < 6e-3),
        Row("  p99", f"{figure.quantile(0.99) * 1e3:.2f} ms"),
    ]


def _complete_many() -> list[Row]:
    with catalog(500, _MANY_FROM, WEDNESDAY) as source:
        runs = [_child(source.root) for _ in range(_PROCESSES)]
    first = Figure(tuple(each["bytes"] / each["first_s"] for each in runs))
    cached = Figure(tuple(each["bytes"] / each["again_s"] for each in runs))
    extra = Figure(tuple(each["extra"] for each in runs))
    sizes = f"{runs[0]['bytes'] / _MB:,.0f} MB, text cache {runs[0]['cache'] / _MB:,.0f} MB"
    name = f"complete, 500 symbols × 20 days ({sizes})"
    return [
        Row(f"{name}, first", first.text(1 / _MB, 0, "MB/s"), "at least 150 MB/s", first.median >= 150 * _MB),
        Row("  cached", cached.text(1e-9, 2, "GB/s"), "at least 1 GB/s", cached.median >= 1e9),
        Row("  peak extra memory, first", extra.text(1 / _MB, 1, "MB"), "under 64 MB", extra.median < 64 * _MB),
    ]


def _growth() -> list[Row]:
    with catalog(20, _LONG_FROM, WEDNESDAY) as source:
        few: list[float] = []
        many: list[float] = []
        for _ in range(RUNS):
            few += _deltas(source, 20, 1)[0]
            many += _deltas(source, 20, 100)[0]
    small, large = Figure(tuple(few)), Figure(tuple(many))
    factor = large.median / small.median
    return [
        Row("delta, 20 symbols, 1 new bar each, 1 day held", small.text(1e6, 0, "µs")),
        Row("  100 days held", large.text(1e6, 0, "µs")),
        Row("  as held rows grow 100 ×", f"{factor:.2f}", "at most 1.2", factor <= 1.2),
    ]


def _system(source: Catalog, symbols: int, trailing_days: int, derived: tuple[str, ...] = DERIVED) -> SystemManager:
    wanted = config(symbols, WEDNESDAY, WEDNESDAY, trailing_days=trailing_days, derived=derived)
    return SystemManager(wanted, source)


def _deltas(
    source: Catalog, symbols: int, trailing_days: int, derived: tuple[str, ...] = DERIVED
) -> tuple[list[float], int]:
    """Take a delta at every step of a session; return the seconds of those with 1m bars alone, and a delta's size."""
    system = _system(source, symbols, trailing_days, derived)
    taken: list[float] = []
    sizes: list[int] = []

    def take(us: int) -> None:
        started = time.perf_counter()
        export = system.export()
        document = b"".join(export.pieces())
        system.acknowledge(export)
        seconds = time.perf_counter() - started
        session = system.snapshot.session
        assert session is not None
        if (us - session.open_us) % 300_000_000 and us - session.open_us > 300_000_000:
            taken.append(seconds)
            sizes.append(len(document))

    system.hooks.activated.append(lambda: system.acknowledge(system.export(complete=True)))
    system.hooks.stepped.append(take)
    gc.collect()
    system.run()
    return taken, sizes[len(sizes) // 2]


def segments_of(snapshot: Snapshot) -> list[Segment]:
    """Return every segment a snapshot refers to."""
    history = [day.segment for interval in snapshot.history.intervals.values() for day in interval.days]
    return [segment for log in snapshot.logs.values() for segment in log.segments] + history


def forget(snapshot: Snapshot) -> None:
    """Drop all that exports keep: row text, and figures computed on first use."""
    for segment in segments_of(snapshot):
        segment.texts.clear()
    memos: list[Callable[[], None]] = [snapshot.history.texts.clear]
    memos += [interval.texts.clear for interval in snapshot.history.intervals.values()]
    memos += [kind.columns.texts.clear for kind in snapshot.kinds.values()]
    for clear in memos:
        clear()


def _child(root: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.exports", str(root)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parents[1])
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _measure(root: str) -> dict[str, float]:
    with catalog(2, WEDNESDAY, WEDNESDAY) as tiny:  # loads what exports import: that is the interpreter's, not theirs
        warm = _system(tiny, 2, 0)
        warm.run()
        Sink().drain(warm.export(complete=True).pieces())
    system = _system(Catalog(root), 500, 19)
    system.run()
    sink = Sink()
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts over at what is resident now
    before = _status("VmRSS")
    first_s = once(lambda: sink.drain(system.export(complete=True).pieces()))
    peak, size = _status("VmHWM"), sink.bytes
    texts = [text for segment in segments_of(system.snapshot) for text in segment.texts.values()]
    cache = sum(text.nbytes for text in texts)
    again = repeat(lambda: sink.drain(system.export(complete=True).pieces()))
    return {
        "bytes": size,
        "first_s": first_s,
        "again_s": again.median,
        "cache": cache,
        "extra": max(0, peak - before - cache),
    }


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1])))
