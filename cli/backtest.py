"""`mismartera backtest`: run the sessions of a configuration over the catalog's bars."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .console import catalog_option, progress, say
from .report import show_run

if TYPE_CHECKING:
    from mismartera.engine.system.manager import SystemManager

_POLL_S = 0.1


@click.group("backtest")
def backtest_group() -> None:
    """Run sessions over bars of the catalog.

    \b
    Examples:
      mismartera backtest run session.json
      mismartera backtest run session.json --until 2025-07-02T11:30 --export state.json
    """


@backtest_group.command("run")
@click.argument("config", type=click.Path(path_type=Path))
@catalog_option
@click.option("--until", metavar="TIME", help="Stop at this time of the exchange, such as 2025-07-02T11:30.")
@click.option(
    "--export",
    "export_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the complete state at the end to FILE: .json, .json.gz or .json.zst.",
    metavar="FILE",
)
@click.option(
    "--analysis",
    "analyses",
    multiple=True,
    metavar="FILE.py:NAME[@5m]",
    help="Call this function or class on every step, or whenever a bar of that length ends; may be repeated.",
)
@click.option(
    "--on-error",
    type=click.Choice(["raise", "count"]),
    default="raise",
    show_default=True,
    help="What an exception in an analysis does: stop the run, or be counted.",
)
def run_command(
    config: Path, catalog: Path, until: str | None, export_path: Path | None, analyses: tuple[str, ...], on_error: str
) -> None:
    """Run a backtest session to the end of its window, or to TIME, and report on it.

    Each session goes through six phases: initialization, history, queue loading, activation, streaming, end. With
    --until the run stops at that instant, and the export shows the state as it was known then.

    \b
    Examples:
      mismartera backtest run session.json
      mismartera backtest run session.json --catalog data/catalog --export final.json.gz
      mismartera backtest run session.json --until 2025-07-02T11:30 --export state.json
      mismartera backtest run session.json --analysis my_study.py:Momentum@5m
    """
    from mismartera.engine.system.manager import SystemManager

    from .analyses import load_analysis

    system = SystemManager(config, catalog, on_error="count" if on_error == "count" else "raise")
    for text in analyses:
        call, every = load_analysis(text)
        system.add_analysis(call, every=every)
    run_to_end(system, until)
    show_run(system)
    if export_path is not None:
        written = system.export_status(export_path)
        say(f"complete export at {system.time_manager.get_current_time().isoformat()}: {written}")


def run_to_end(system: SystemManager, until: str | None = None) -> None:
    """Start a system and wait for its end with a progress bar; Ctrl-C stops it before it is passed on."""
    total = len(system.time_manager.window_sessions())
    system.start(until)
    try:
        with progress("Running") as update:
            while not system.wait(_POLL_S):
                now = system.time_manager.get_current_time()
                update(system.get_backtest_summary()["sessions"], total, f"sessions, {now:%Y-%m-%d %H:%M}")
    finally:
        system.stop()
