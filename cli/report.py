"""The tables a run ends with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .console import Align, say, table

if TYPE_CHECKING:
    from mismartera.engine.system.system_manager import SystemManager

_SHOWN_SYMBOLS = 20
_COUNTED: list[Align] = ["left", "right", "right", "right"]


def show_run(system: SystemManager) -> None:
    """Print what a run did: sessions, bars, speed, time per phase, gaps, and quality per symbol, worst first."""
    summary = system.get_backtest_summary()
    table(f"{system.config.session_name}: {system.state.value}", ["what", "figure"], _figures(system, summary))
    say()
    phases = [(name.replace("_", " "), f"{seconds:.3f}") for name, seconds in summary["phase_seconds"].items()]
    table("Time per phase, all sessions", ["phase", "seconds"], phases, ["left", "right"])
    if summary["missing_bars"]:
        say()
        rows = [(kind, count, summary["missing_bars"][kind]) for kind, count in summary["gap_ranges"].items()]
        table("Gaps, all sessions", ["interval", "ranges", "missing bars"], rows)
    say()
    _show_quality(system)
    _show_analyses(system)


def _figures(system: SystemManager, summary: dict[str, Any]) -> list[tuple[str, str]]:
    speed = summary["bars_per_second"]
    rows = [
        ("sessions", f"{summary['sessions']:,}"),
        ("symbols", f"{summary['symbols']:,}"),
        ("clock", f"{system.time_manager.get_current_time():%Y-%m-%d %H:%M:%S %Z}"),
        *((f"{kind} rows", f"{count:,}") for kind, count in summary["rows"].items()),
        ("seconds", f"{summary['wall_seconds']:.3f}"),
        ("bars/s", "–" if speed is None else f"{speed:,}"),
    ]
    left_out = ("rows_outside_session", "rows_off_grid", "rows_duplicate", "rows_invalid")
    return rows + [(name.replace("_", " "), f"{summary[name]:,}") for name in left_out if summary[name]]


def _show_quality(system: SystemManager) -> None:
    rows = system.quality_by_symbol()
    title = f"Quality of {system.session_data.base} bars per symbol, worst first"
    if len(rows) > _SHOWN_SYMBOLS:
        title += f" ({_SHOWN_SYMBOLS} of {len(rows)})"
    table(title, ["symbol", "bars", "missing", "quality %"], rows[:_SHOWN_SYMBOLS])


def _show_analyses(system: SystemManager) -> None:
    statistics = system.analysis_engine.get_statistics()
    if not statistics:
        return
    rows = [
        (name, figures["calls"], figures["errors"], f"{figures['seconds']:.3f}", _latest(figures["latest"]))
        for name, figures in statistics.items()
    ]
    say()
    table("Analyses", ["name", "calls", "errors", "seconds", "latest figures"], rows, [*_COUNTED, "left"])
    for name, figures in statistics.items():
        if figures["last_error"]:
            say(f"last error of {name}: {' '.join(figures['last_error'].split())}")


def _latest(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in figures.items()) or "none"
