"""Eight threads export at full speed while a backtest streams: what that costs the stream, and that chains replay."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import orjson

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.export.reading.replay import Replay
from mismartera.engine.system.system_manager import SystemManager

from .setup import FRIDAY, MONDAY, catalog, config
from .timing import Figure, Row, once, paired, show

SYMBOLS, THREADS, RUNS = 500, 8, 5
NAMES = [f"thread {number}" for number in range(THREADS)]
_COMPLETE_EACH = 20  # of a thread's exports; the others are deltas
_APART = 65  # steps between the exports that are kept to be replayed


@dataclass(frozen=True, slots=True)
class _Crowded:
    """A run with exports: wall seconds, CPU seconds of the exporting threads, and what they made."""

    wall_s: float
    exports_s: float
    exports: int
    bytes: int


def run() -> bool:
    """Measure, print, and return whether the targets were met."""
    with catalog(SYMBOLS) as source:
        once(lambda: _system(source).run())
        alone, crowded = [], []
        for _ in range(RUNS):
            system = _system(source)
            alone.append(once(system.run))
            crowded.append(_crowded(_system(source)))
        replayed, kept = _replayed(_system(source, MONDAY))
    bars = int(system.get_backtest_summary()["bars"])
    quiet, busy = Figure(tuple(alone)), Figure(tuple(each.wall_s for each in crowded))
    added = Figure(tuple(each.wall_s - wall for each, wall in zip(crowded, alone, strict=True)))
    spent = Figure(tuple(each.exports_s for each in crowded))
    share = paired(added, spent)
    made = Figure(tuple(each.exports / each.wall_s for each in crowded))
    text = Figure(tuple(each.bytes / each.wall_s for each in crowded))
    rows = [
        Row("stream alone", quiet.text(unit="s")),
        Row("stream beside the exports", busy.text(unit="s")),
        Row("  exports, all threads", made.text(digits=0, unit="a second")),
        Row("  their text", text.text(2**-20, 0, "MB/s")),
        Row("  their own CPU time", spent.text(unit="s")),
        Row("  wall time they add to the stream", added.text(unit="s")),
        Row("  added / own CPU time", share.text(), "under 1", share.median < 1),
        Row(f"chains that replay exactly ({kept} exports)", f"{replayed} of {THREADS}", "all", replayed == THREADS),
    ]
    return show(
        f"Concurrent exports: {THREADS} threads, {SYMBOLS} symbols × 5 sessions, {bars:,} base bars",
        rows,
        [
            f"each thread exports for a consumer of its own as fast as it can, each {_COMPLETE_EACH}th time all",
            "own CPU time: thread_time of the exporting threads; runs with and without them in turn",
            f"replay, over one session: an export of each thread per {_APART} steps, merged, against the complete one",
        ],
    )


def _system(source: Catalog, end: dt.date = FRIDAY) -> SystemManager:
    system = SystemManager(config(SYMBOLS, end=end, derived=("5m", "15m")), source)
    for name in NAMES:
        system.register_consumer(name)
    return system


def _crowded(system: SystemManager) -> _Crowded:
    over = threading.Event()

    def export(name: str) -> tuple[float, int, int]:
        began, count, size = time.thread_time(), 0, 0
        while not over.is_set():
            made = system.export(name, complete=count % _COMPLETE_EACH == 0)
            size += sum(map(len, made.pieces()))
            system.acknowledge(made)
            count += 1
        return time.thread_time() - began, count, size

    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(export, name) for name in NAMES]
        try:
            wall_s = once(system.run)
        finally:
            over.set()
        seconds, counts, sizes = zip(*(future.result() for future in futures), strict=True)
    return _Crowded(wall_s, sum(seconds), sum(counts), sum(sizes))


def _replayed(system: SystemManager) -> tuple[int, int]:
    """Return how many threads' exports, made while the run went on, merge to the complete one, and their number."""
    chains: dict[str, list[bytes]] = {name: [] for name in NAMES}
    turns = {name: threading.Semaphore(0) for name in NAMES}
    done, over = threading.Semaphore(THREADS), threading.Event()

    def take(name: str) -> None:
        made = system.export(name)
        chains[name].append(made.to_bytes())
        system.acknowledge(made)

    def export(name: str) -> None:
        while not over.is_set():
            turns[name].acquire()
            take(name)
            done.release()

    def give_turns() -> None:
        for turn in turns.values():
            done.acquire()  # the turn before: the stream went on meanwhile
            turn.release()

    system.hooks.stepped.append(_each(_APART, give_turns))
    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(export, name) for name in NAMES]
        try:
            system.run()
        finally:
            over.set()
            for turn in turns.values():
                turn.release()
        for future in futures:
            future.result()
    for name in NAMES:
        take(name)
    whole = system.export(complete=True).to_json()["session_data"]
    return sum(_merged(chain) == whole for chain in chains.values()), sum(map(len, chains.values()))


def _merged(chain: list[bytes]) -> Any:
    state = Replay()
    for text in chain:
        state.apply(orjson.loads(text))
    return state.to_json()["session_data"]


def _each(steps: int, call: Callable[[], None]) -> Callable[[int], None]:
    passed = 0

    def stepped(_: int) -> None:
        nonlocal passed
        passed += 1
        if passed % steps == 0:
            call()

    return stepped
