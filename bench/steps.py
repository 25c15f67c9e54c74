"""What one step of the clock costs while a staged day streams, for few symbols and for many."""

from __future__ import annotations

import gc
import time

import numpy as np

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.system.system_manager import SystemManager

from .setup import DERIVED, MONDAY, catalog, config
from .timing import RUNS, Figure, Row, show

SIZES = (50, 5000)
_HOUR_US = 3_600_000_000


def run() -> bool:
    """Measure, print, and return whether the targets were met."""
    figures: dict[int, tuple[Figure, Figure, Figure]] = {}
    for symbols in SIZES:
        with catalog(symbols, MONDAY, MONDAY) as source:
            runs = [_steps(source, symbols) for _ in range(RUNS + 1)][1:]
        phase, plain, closing = (Figure(tuple(values)) for values in zip(*runs, strict=True))
        figures[symbols] = phase, plain, closing
    few, many = figures[SIZES[0]], figures[SIZES[1]]
    rows = []
    names = ("streaming phase / steps", "a step that closes no derived bar", "a step that closes 5m, 15m and 1h")
    for place, name in enumerate(names):
        rows += [Row(f"{name}, {symbols:,} symbols", figures[symbols][place].text(1e6, 1, "µs")) for symbols in SIZES]
        factor = many[place].median / few[place].median
        rows.append(Row(f"  {SIZES[1]:,} / {SIZES[0]} symbols", f"{factor:.2f}", "at most 3", factor <= 3))
    return show(
        "Steps: one session, 390 steps, the day fully staged before the first of them",
        rows,
        [
            f"derived {', '.join(DERIVED)}; the window has one day, so nothing is staged meanwhile; median of {RUNS}",
            "the phase is what get_backtest_summary() reports; a step is the median over a run's steps, measured "
            "from one hook call to the next",
        ],
    )


def _steps(source: Catalog, symbols: int) -> tuple[float, float, float]:
    """Return seconds a step: the phase over its steps, a median step, a median step with three closings."""
    system = SystemManager(config(symbols, MONDAY, MONDAY), source)
    instants: list[int] = []
    moments: list[float] = []

    def note(us: int) -> None:
        instants.append(us)
        moments.append(time.perf_counter())

    gc.collect()
    system.run()
    summary = system.get_backtest_summary()
    phase_s = summary["phase_seconds"]["streaming"] / summary["steps"]
    system = SystemManager(config(symbols, MONDAY, MONDAY), source)
    system.hooks.stepped.append(note)
    system.run()
    session = system.snapshot.session
    assert session is not None
    taken = np.diff(moments)
    since_open = np.array(instants[1:]) - session.open_us
    plain = np.median(taken[since_open % 300_000_000 != 0])
    closing = np.median(taken[since_open % _HOUR_US == 0])
    return phase_s, float(plain), float(closing)
