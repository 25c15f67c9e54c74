"""`mismartera backtest`: run the sessions of a configuration over the catalog's bars."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .console import catalog_option, progress, say
from .report import show_run

if TYPE_CHECKING:
    from mismartera.engine.system.export_schedule import ExportSchedule
    from mismartera.engine.system.system_manager import SystemManager

_POLL_S = 0.1


@click.group("backtest")
def backtest_group() -> None:
    """Run sessions over bars of the catalog.

    \b
    Examples:
      mismartera backtest run session.json
      mismartera backtest run session.json --until 2025-07-02T11:30 --export state.json
      mismartera backtest run session.json --export-every 5m --export-dir out
    """


@backtest_group.command("run", short_help="Run a session over the bars of the catalog, and report on it.")
@click.argument("config", type=click.Path(path_type=Path))
@catalog_option
@click.option(
    "--until", metavar="TIME", help="Stop at this time of the exchange's own clock, such as 2025-07-02T11:30."
)
@click.option(
    "--export",
    "export_path",
    type=click.Path(path_type=Path),
    help="Write the complete state at the end to FILE. Its suffix tells the form: .json, .json.gz, .json.zst, or "
    ".arrow and .parquet, which are folders.",
    metavar="FILE",
)
@click.option(
    "--export-every",
    metavar="INTERVAL",
    help="Write a complete export at the start, a delta (what is new since the last export) whenever this much market "
    "time has passed, such as 5m, and both at the end.",
)
@click.option(
    "--export-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the exports of --export-every go; a folder for each run keeps their chains apart.  "
    "[default: data/status]",
)
@click.option(
    "--format",
    "form",
    metavar="FORMAT",
    help="Form of the exports of --export-every: json, json.gz, json.zst, arrow or parquet.  [default: json]",
)
@click.option(
    "--consumer",
    metavar="NAME",
    help="Whom the exports of --export-every are for: each consumer has a chain of its own.  [default: default]",
)
@click.option(
    "--analysis",
    "analyses",
    multiple=True,
    metavar="FILE.py:NAME[@5m]",
    help="Call this function or class of yours on every step of the clock, or with @5m whenever a 5m bar ends; may be "
    "repeated.",
)
@click.option(
    "--on-error",
    type=click.Choice(["raise", "count"]),
    default="raise",
    show_default=True,
    help="What an exception in an analysis does: stop the run, or be counted.",
)
def run_command(
    config: Path,
    catalog: Path,
    until: str | None,
    export_path: Path | None,
    export_every: str | None,
    export_dir: Path | None,
    form: str | None,
    consumer: str | None,
    analyses: tuple[str, ...],
    on_error: str,
) -> None:
    """Run the sessions of CONFIG to the end of their window, or to TIME, and report on them.

    CONFIG is a JSON file that 'mismartera config init' writes an example of. The bars are those of the catalog, see
    'mismartera data'. Each session goes through six phases: initialization, history, queue loading, activation,
    streaming, end.

    With --until the run stops at that instant, and exports show the state as it was known then: the system is STOPPED,
    while a session that had not reached its close is still active. Ctrl-C stops the run after the step it is in, with
    exit code 130; exports written by then stay, those of the end are left out.

    \b
    Examples:
      mismartera backtest run session.json
      mismartera backtest run session.json --catalog data/catalog --export final.json.gz
      mismartera backtest run session.json --until 2025-07-02T11:30 --export state.json
      mismartera backtest run session.json --export-every 5m --export-dir out --format json.zst --consumer desk
      mismartera backtest run session.json --analysis my_study.py:Momentum@5m
    """
    from mismartera.engine.system.system_manager import SystemManager

    from .analyses import add_analyses
    from .config import read_config

    wanted = {"--export-dir": export_dir, "--format": form, "--consumer": consumer}
    alone = [name for name, value in wanted.items() if value is not None]
    if export_every is None and alone:
        raise click.UsageError(f"{alone[0]} is for the exports of --export-every INTERVAL, which is not given")
    system = SystemManager(read_config(config), catalog, on_error="count" if on_error == "count" else "raise")
    add_analyses(system, analyses)
    schedule = None if export_every is None else _schedule(system, export_every, export_dir, form, consumer)
    if export_path is not None:
        _check_target(export_path)
    try:
        _run(system, until, analyses if on_error == "raise" else ())
    except KeyboardInterrupt:
        if schedule is not None:
            _tell_interrupted(schedule, form)
        raise
    show_run(system)
    if schedule is not None:
        schedule.finish()
        receipts = schedule.receipts
        size = sum(receipt.bytes for receipt in receipts)
        say(
            f"{len(receipts)} exports, the first and the last of them complete: {receipts[0].path.parent} "
            f"({size:,} bytes)"
        )
    if export_path is not None:
        receipt = system.export_status(export_path)
        carries = f"{receipt.rows:,} rows, {receipt.bytes:,} bytes"
        say(f"complete export at {receipt.generated_at}: {receipt.path} ({carries})")


def _run(system: SystemManager, until: str | None, analyses: tuple[str, ...]) -> None:
    """Run to the end; an error one of `analyses` raised is told as that one's."""
    from .analyses import failure

    try:
        run_to_end(system, until)
    except Exception as error:
        failed = failure(system, error, analyses) if analyses else None
        if failed is None:
            raise
        raise failed from error


def _schedule(
    system: SystemManager, every: str, folder: Path | None, form: str | None, consumer: str | None
) -> ExportSchedule:
    from mismartera.engine.export.consumers.consumers import DEFAULT
    from mismartera.engine.system.export_schedule import ExportSchedule
    from mismartera.engine.system.exports import STATUS_FOLDER

    return ExportSchedule(
        system,
        every,
        folder or STATUS_FOLDER,
        form="json" if form is None else form,
        consumer=DEFAULT if consumer is None else consumer,
    )


def _tell_interrupted(schedule: ExportSchedule, form: str | None) -> None:
    """Say what Ctrl-C left of a chain of exports, and how to check it."""
    told = f"exports written: {len(schedule.receipts)}, without the closing delta and complete export"
    if schedule.receipts:
        files = f"{shlex.quote(str(schedule.receipts[0].path.parent))}/*.{form or 'json'}"
        told += f"; to check them: mismartera export check --chain {files}"
    click.echo(told, err=True)


def _check_target(path: Path) -> None:
    """Raise before the run what would make the export at its end impossible."""
    from mismartera.engine.export.formats.registry import FOLDERS, format_of
    from mismartera.engine.export.formats.table_folder import METADATA
    from mismartera.schemas.errors import ExportError

    form = format_of(path) if path.suffix else "json"
    folder = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    wrong = None
    if not folder.is_dir():
        wrong = f"{folder} is not a folder"
    elif not os.access(folder, os.W_OK | os.X_OK):
        wrong = f"{folder} is not writable"
    elif form not in FOLDERS and path.is_dir():
        wrong = f"it is a folder, and an export to {form} is a file"
    elif form in FOLDERS and path.exists() and not (path / METADATA).is_file():
        wrong = "what is there is not an export, and is not replaced"
    if wrong:
        raise ExportError(f"{path}: the export cannot be written: {wrong}", hint="name another file")


def run_to_end(system: SystemManager, until: str | None = None) -> None:
    """Start a system and wait for its end with a progress bar; Ctrl-C stops it before it is passed on."""
    if system.config.mode == "backtest":
        _require_rows(system)
    system.start(until)
    total = len(system.time_manager.window_sessions())
    try:
        with progress("Running") as update:
            while not system.wait(_POLL_S):
                now = system.time_manager.get_current_time()
                update(system.get_backtest_summary()["sessions"], total, f"sessions, {now:%Y-%m-%d %H:%M}")
    finally:
        system.stop()


def _require_rows(system: SystemManager) -> None:
    """Raise where the catalog has nothing of the window: the engine runs such sessions, but nobody means to."""
    sessions = system.time_manager.window_sessions()
    streams = [str(stream) for stream in system.config.session_data_config.streams if stream in ("ticks", "quotes")]
    system.data_manager.require_rows([system.session_data.base, *streams], sessions[0].date, sessions[-1].date)
