"""`system …` at the shell's prompt: export a session's state to files and to the screen, and whom it is exported to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mismartera.schemas.errors import UnknownNameError

from .console import say, table
from .shell_state import ShellState, pass_state

if TYPE_CHECKING:
    from mismartera.engine.system.system_manager import SystemManager


@click.command("export-status", short_help="Write the state, or what is new in it, to a file.")
@click.argument("path", required=False, metavar="[FILE]", type=click.Path(path_type=Path))
@click.option("--complete/--delta", default=True, show_default=True, help="Everything, or what CONSUMER lacks.")
@click.option("--consumer", default="default", show_default=True, help="Who it is for; see 'system register'.")
@click.option("--debug", is_flag=True, help="Add performance and queue depths.")
@click.option(
    "--format",
    "form",
    metavar="FORMAT",
    help="Without FILE: json, json.gz, json.zst, arrow or parquet.  [default: json]",
)
@click.option("--auto-compress", is_flag=True, help="Without FILE: gzip json that exceeds 1 MB.")
@pass_state
def export_status_command(
    state: ShellState,
    path: Path | None,
    complete: bool,
    consumer: str,
    debug: bool,
    form: str | None,
    auto_compress: bool,
) -> None:
    """Write the state to FILE, by default to a new file in data/status/.

    The suffix of FILE tells the form: .json, .json.gz, .json.zst, or .arrow and .parquet, which are folders of tables.
    An export of that name is replaced.

    \b
    Examples:
      system export-status
      system export-status complete=true first.json
      system export-status complete=false second.json
      system export-status last.parquet
      system export-status --delta --consumer dashboard --format json.zst
    """
    system = state.require()
    alone = "--format" if form is not None else "--auto-compress" if auto_compress else ""
    if path is not None and alone:
        raise click.UsageError(f"{alone} is for exports without FILE; the suffix of {path} tells its form")
    _known(system, consumer)
    receipt = system.export_status(
        path, complete=complete, debug=debug, consumer=consumer, form=form, auto_compress=auto_compress
    )
    say(f"✓ System status exported to: {receipt.path}")
    say(f"File size: {receipt.bytes:,} bytes ({receipt.bytes / 1024:.1f} KB)")
    say(f"Mode: {receipt.mode}")
    say(f"Symbols: {receipt.symbols}")
    say(f"Threads: {receipt.threads}")
    say(f"New rows: {receipt.rows:,}")


@click.command("json", short_help="Print the state, or what is new in it.")
@click.option("--complete", is_flag=True, help="Full state, not only what is new since the last call.")
@click.option("--debug", is_flag=True, help="Add performance and queue depths.")
@pass_state
def json_command(state: ShellState, complete: bool, debug: bool) -> None:
    """Print the state as JSON: by default a delta, with the rows that are new since the last call.

    The first call prints all rows. The calls go by a consumer of their own, system_json.

    \b
    Examples:
      system json
      system json --complete
      system json complete=true debug=true
    """
    say(pretty(state.require().to_json(complete, debug)))


@click.command("register", short_help="Add a consumer of exports.")
@click.argument("name")
@click.option("--symbols", metavar="A,B", help="Symbols its exports hold; by default all.")
@click.option("--intervals", metavar="1m,5m", help="Intervals, ticks and quotes they hold; by default all.")
@click.option("--parts", metavar="session,historical", help="Parts to include; by default both.")
@pass_state
def register_command(state: ShellState, /, name: str, **only: str | None) -> None:
    """Add NAME as a consumer of exports, with a cursor of its own. The same line again changes nothing.

    \b
    Examples:
      system register dashboard
      system register watcher symbols=AAPL,RIVN intervals=5m parts=session
    """
    system = state.require()
    parts: dict[str, Any] = {part: None if text is None else _listed(text) for part, text in only.items()}
    system.register_consumer(name, **parts)
    say(f"✓ Consumer {name} registered")


@click.command("consumers", short_help="List the consumers of exports.")
@pass_state
def consumers_command(state: ShellState) -> None:
    """List the consumers of exports: how many each received, and how far it lags.

    \b
    Example:
      system consumers
    """
    infos = state.require().list_consumers()
    rows = [(info.name, info.sequence, info.last_update, info.lag_rows, info.lag_s) for info in infos]
    table("Consumers", ["name", "exports", "last", "rows behind", "seconds behind"], rows)


@click.command("reset-export", short_help="Forget what a consumer was sent.")
@click.argument("consumer", default="default")
@pass_state
def reset_export_command(state: ShellState, consumer: str) -> None:
    """Forget what CONSUMER (default: default) was sent: its next export carries everything.

    \b
    Example:
      system reset-export dashboard
    """
    system = state.require()
    _known(system, consumer)
    system.reset_export(consumer)
    say(f"✓ Consumer {consumer} starts over")


def _known(system: SystemManager, consumer: str) -> None:
    """Raise `UnknownNameError` for a consumer that was not registered, with the line that does."""
    names = [info.name for info in system.list_consumers()]
    if consumer not in names:
        raise UnknownNameError("consumer", consumer, names, hint=f"system register {consumer} adds it")


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def pretty(value: Any, indent: str = "") -> str:
    """Return JSON to be read by people: members a line each, and every row on one line.

    Examples
    --------
    >>> print(pretty({"count": 2, "data": [["09:30:00", 1.5], ["09:31:00", 1.25]], "dates": ["2025-07-01"]}))
    {
      "count": 2,
      "data": [
        ["09:30:00",1.5],
        ["09:31:00",1.25]
      ],
      "dates": ["2025-07-01"]
    }
    """
    import orjson

    inner = f"{indent}  "
    if isinstance(value, dict) and value:
        members = (f"{inner}{orjson.dumps(key).decode()}: {pretty(item, inner)}" for key, item in value.items())
        return "{\n" + ",\n".join(members) + f"\n{indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], list | dict):
        return "[\n" + ",\n".join(f"{inner}{orjson.dumps(item).decode()}" for item in value) + f"\n{indent}]"
    return orjson.dumps(value).decode()


EXPORT_COMMANDS = (export_status_command, json_command, register_command, consumers_command, reset_export_command)
