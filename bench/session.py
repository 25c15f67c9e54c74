"""A session end to end, from the catalog through derivation, gaps, quality and stepping, beside the Polars floor."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.interval import Interval

from . import floor
from .setup import catalog, config
from .timing import Figure, Row, alternate, once, paired, show

SYMBOLS = 500
OURS = "session"


class _Session:
    """A run, from start to the end of wait; the manager, and with it the calendar, is made ahead of it."""

    def __init__(self, source: Catalog) -> None:
        self._source = source
        self.system = self.make()

    def make(self) -> SystemManager:
        self.system = SystemManager(config(SYMBOLS), self._source)
        return self.system

    def __call__(self) -> None:
        self.system.start()
        self.system.wait()


def run() -> bool:
    """Measure, print, and return whether the targets were met."""
    with catalog(SYMBOLS) as source:
        first_s = _first_manager_s(source.root)
        again_s = once(lambda: SystemManager(config(SYMBOLS), source))
        session = _Session(source)
        folder = source.root / "bars" / "interval=1m"
        jobs: dict[str, Callable[[], Any]] = {OURS: session}
        jobs |= {name: partial(make, folder) for name, make in floor.VARIANTS.items()}
        figures = alternate(jobs, {OURS: session.make})
        summary = session.system.get_backtest_summary()
        _require_equal(summary, folder)
    return _show(summary, figures, first_s, again_s)


def _first_manager_s(root: Path) -> float:
    """Return the seconds a fresh process takes to make its first manager, all modules of the engine imported before."""
    program = (
        "import sys, time; from bench.setup import config\n"
        "from mismartera.engine.system.system_manager import SystemManager\n"
        f"wanted = config({SYMBOLS}); began = time.perf_counter(); SystemManager(wanted, sys.argv[1])\n"
        "print(time.perf_counter() - began)"
    )
    command = [sys.executable, "-c", program, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).resolve().parents[1])
    return float(done.stdout)


def _require_equal(summary: dict[str, Any], folder: Path) -> None:
    """Stop unless the engine and every variant of the floor made the same bars, gap ranges and missing bars."""
    for name, make in floor.VARIANTS.items():
        found = make(folder)
        for ours, theirs in (("rows", found.rows), ("gap_ranges", found.ranges), ("missing_bars", found.missing)):
            named = {Interval(minutes).text: count for minutes, count in theirs.items()}
            if named != summary[ours]:
                raise AssertionError(f"{ours} of {name!r}: expected {summary[ours]} as the session made, was {named}")


def _show(summary: dict[str, Any], figures: dict[str, Figure], first_s: float, again_s: float) -> bool:
    bars = int(summary["bars"])
    ours = figures[OURS]
    fastest = min((name for name in figures if name != OURS), key=lambda name: figures[name].median)
    speed = Figure(tuple(bars / seconds for seconds in ours.values))
    ratio = paired(figures[fastest], ours)
    rows = [
        Row("session, start() to the end of wait()", ours.text(1e3, 0, "ms")),
        Row("  base bars a second", speed.text(1e-6, 2, "M/s"), "over 1.5 M/s", speed.median > 1.5e6),
        *(
            Row(f"Polars, {name}{' = floor' if name == fastest else ''}", figures[name].text(1e3, 0, "ms"))
            for name in figures
            if name != OURS
        ),
        Row("  speed of the session / of the floor", ratio.text(), "at least 0.4", ratio.median >= 0.4),
        Row("SystemManager(), the first of a fresh process (imports the calendar library)", f"{first_s * 1e3:,.0f} ms"),
        Row("SystemManager(), any later one", f"{again_s * 1e3:,.1f} ms"),
    ]
    phases = ", ".join(f"{name} {seconds * 1e3:.0f}" for name, seconds in summary["phase_seconds"].items())
    made = ", ".join(f"{rows:,} {kind}" for kind, rows in summary["rows"].items())
    notes = [
        f"rows {made}; {summary['steps']} steps; phases of the last run in ms: {phases}",
        "the floor reads the same files and makes the same bars and gaps (checked to be equal), and nothing else",
        f"each is the median of {len(ours.values)} runs taken in turn; the ratio is that of each turn",
    ]
    title = f"Session: {summary['symbols']} symbols × {summary['sessions']} sessions, {bars:,} base bars, 1 % missing"
    return show(title, rows, notes)
