"""Measuring: repeated runs, medians with their spread, and tables that set a figure beside its target."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

RUNS = 7
CONSOLE = Console(width=160, highlight=False)


@dataclass(frozen=True, slots=True)
class Figure:
    """Repeated measurements of one thing, in seconds unless its row says otherwise."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def quantile(self, share: float) -> float:
        """Return the smallest value that `share` of all values do not exceed."""
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def text(self, scale: float = 1.0, digits: int = 2, unit: str = "") -> str:
        """Return ``median unit (min–max)`` of the values times `scale`."""
        low, middle, high = (value * scale for value in (min(self.values), self.median, max(self.values)))
        return f"{middle:,.{digits}f}{' ' if unit else ''}{unit} ({low:,.{digits}f}–{high:,.{digits}f})"


def once(job: Callable[[], Any]) -> float:
    """Return the seconds one call takes; garbage of earlier ones is collected before, not within."""
    gc.collect()
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def repeat(job: Callable[[], Any], runs: int = RUNS, *, warm: int = 1) -> Figure:
    """Return the seconds of `runs` calls, after `warm` that are not counted."""
    for _ in range(warm):
        job()
    return Figure(tuple(once(job) for _ in range(runs)))


def alternate(
    jobs: dict[str, Callable[[], Any]], before: dict[str, Callable[[], Any]] | None = None, runs: int = RUNS
) -> dict[str, Figure]:
    """Time several jobs in turn, so that a slow moment of the machine falls on all of them alike.

    `before` is called ahead of a job of the same name and is not timed; one turn of all comes first and is not counted.
    """
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(runs + 1):
        for name, job in jobs.items():
            (before or {}).get(name, _nothing)()
            seconds = once(job)
            if turn:
                taken[name].append(seconds)
    return {name: Figure(tuple(values)) for name, values in taken.items()}


def _nothing() -> None:
    """Do nothing."""


def paired(left: Figure, right: Figure) -> Figure:
    """Return the ratio of two figures that were measured in turn, run by run."""
    return Figure(tuple(a / b for a, b in zip(left.values, right.values, strict=True)))


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: what, how much, and what was asked for; `passed` is None where nothing was."""

    case: str
    measured: str
    target: str = ""
    passed: bool | None = None


def show(title: str, rows: Sequence[Row], notes: Sequence[str] = ()) -> bool:
    """Print a table and return whether every target in it was met."""
    table = Table(title=title, title_justify="left", title_style="bold", show_edge=False)
    for name, justify in (("case", "left"), ("median (min–max)", "right"), ("target", "left"), ("", "left")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        verdict = {None: "", True: "[green]pass[/]", False: "[red]MISS[/]"}[row.passed]
        table.add_row(row.case, row.measured, row.target, verdict)
    CONSOLE.print(table)
    for note in notes:
        CONSOLE.print(f"  {note}", style="dim")
    CONSOLE.print()
    return all(row.passed is not False for row in rows)
