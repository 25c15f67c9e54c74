"""`system …` at the shell's prompt: start a session in the background, watch it, export it, stop it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mismartera.schemas.errors import StateError, UnknownNameError

from .console import catalog_option, say, table
from .main import Globals

if TYPE_CHECKING:
    from mismartera.engine.system.manager import SystemManager
    from mismartera.schemas.config import SessionConfig

_POLL_S = 0.02
_THREADS = 4


@dataclass(slots=True)
class ShellState(Globals):
    """What the lines of one shell share; ``ctx.obj`` of their commands.

    Attributes
    ----------
    config : Path or None
        Configuration of sessions started without naming one.
    catalog : Path
    system : SystemManager or None
        The session started last; it stays readable after its end.
    consumers : dict
        Symbols in the exports of each consumer that was registered here.
    leaving : bool
        Whether the shell ends after this line.
    """

    config: Path | None = None
    catalog: Path = Path("data/catalog")
    system: SystemManager | None = None
    consumers: dict[str, int] = field(default_factory=dict)
    leaving: bool = False

    def require(self) -> SystemManager:
        """Return the session; raises `StateError` if none was started."""
        if self.system is None:
            raise StateError("there is no session yet", hint="system start CONFIG starts one")
        return self.system

    @property
    def streaming(self) -> bool:
        """Whether a session runs or is paused."""
        return self.system is not None and self.system.state.value in ("RUNNING", "PAUSED")

    def close(self) -> None:
        """Stop the session, and its threads with it."""
        if self.system is not None:
            self.system.stop()


_pass_state = click.make_pass_decorator(ShellState)


@click.group("system")
def system_group() -> None:
    """Start a session in the background, watch it, export it, stop it.

    Options may be written as --key value or as key=value.

    \b
    Examples:
      system start session.json --speed 60
      system wait 09:45
      system export-status complete=true first.json
      system export-status complete=false
      system stop
    """


@system_group.command("start", short_help="Start a session in the background.")
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--speed", type=click.FloatRange(min=0), metavar="X", help="Market seconds a second; 0 is full speed.")
@click.option("--until", metavar="TIME", help="Stop at this time of the exchange, such as 2025-07-02T11:30.")
@catalog_option
@_pass_state
def start_command(
    state: ShellState, config: Path | None, speed: float | None, until: str | None, catalog: Path
) -> None:
    """Start the session of CONFIG, by default of the shell's own, and return once it streams.

    It goes on in the background while the prompt takes further lines. --speed overrides speed_multiplier of the
    configuration: at 60, a minute of the market takes a second.

    \b
    Examples:
      system start
      system start session.json --speed 60
      system start session.json speed=600 until=2025-07-02T11:30
    """
    from mismartera.engine.system.manager import SystemManager

    from .config import read_config

    if state.streaming:
        raise StateError(f"a session is {state.require().state.value} already", hint="system stop ends it")
    path = config or state.config
    if path is None:
        raise click.UsageError("name a configuration: system start CONFIG", click.get_current_context())
    chosen = with_speed(read_config(path), speed)
    system = SystemManager(chosen, catalog)
    system.start(until)
    state.system, state.consumers = system, {}
    _wait_for_activation(system)
    pace = chosen.backtest_config.speed_multiplier if chosen.backtest_config else 0
    say(f"✓ Session started: {chosen.session_name}")
    say(f"Symbols: {len(system.session_data.symbols)}")
    say(f"Speed: {f'{pace:g} market seconds a second' if pace else 'as fast as it can'}")


def with_speed(config: SessionConfig, speed: float | None) -> SessionConfig:
    """Return a configuration with another speed_multiplier; `config` itself if `speed` is None."""
    if speed is None:
        return config
    if not math.isfinite(speed):
        raise click.BadParameter(f"expected a number of market seconds a second, 0 for full speed; it was {speed}")
    window = config.backtest_config
    if window is None:
        raise StateError("--speed sets the pace of a backtest, and the configuration's mode is 'live'")
    return config.model_copy(update={"backtest_config": window.model_copy(update={"speed_multiplier": speed})})


def _wait_for_activation(system: SystemManager) -> None:
    """Return once a session is active or the run is over; what ended it early is raised."""
    while not (system.snapshot.active or system.wait(_POLL_S)):
        pass


@system_group.command("status", short_help="Say what the session is doing.")
@_pass_state
def status_command(state: ShellState) -> None:
    """Say what the session is doing: state, clock, rows, quality, consumers.

    \b
    Example:
      system status
    """
    if state.system is None:
        say("no session was started: system start CONFIG")
        return
    system, snapshot = state.system, state.system.snapshot
    time, summary = system.time_manager, system.get_backtest_summary()
    missing = {kind: view.missing.sum() for kind in snapshot.logs if (view := snapshot.gaps(kind)) is not None}
    rows = [
        ("state", system.state.value),
        ("clock", f"{time.to_local(snapshot.now_us):%Y-%m-%d %H:%M:%S %Z}"),
        ("phase", time.phase(snapshot.now_us, snapshot.session).replace("_", " ")),
        ("session active", "yes" if snapshot.active else "no"),
        ("sessions done", f"{summary.get('sessions', 0):,} of {len(time.window_sessions()):,}"),
        ("symbols", f"{len(snapshot.symbols):,}"),
        *((f"{kind} rows", f"{log.rows:,}") for kind, log in snapshot.logs.items()),
        *((f"{kind} missing bars", f"{int(count):,}") for kind, count in missing.items() if count),
        ("exports", f"{summary['exports']['count']:,}"),
    ]
    table(system.config.session_name, ["what", "now"], rows)
    if system.state.value == "FAILED":
        system.wait()


@system_group.command("pause", short_help="Hold the session.")
@_pass_state
def pause_command(state: ShellState) -> None:
    """Hold the session after the step it is in. Exports go on.

    \b
    Example:
      system pause
    """
    system = state.require()
    system.pause()
    say(f"✓ Session paused at {_clock(system)}")


@system_group.command("resume")
@_pass_state
def resume_command(state: ShellState) -> None:
    """Let a paused session go on.

    \b
    Example:
      system resume
    """
    system = state.require()
    system.resume()
    say(f"✓ Session resumed at {_clock(system)}")


@system_group.command("stop", short_help="End the session; its state stays readable.")
@_pass_state
def stop_command(state: ShellState) -> None:
    """End the session and its threads; its state stays readable and can be exported.

    Everything stays as it was at that instant. So after a stop in mid-session exports and 'system status' say STOPPED,
    and show the session active all the same (_session_active): it had not reached its close.

    \b
    Example:
      system stop
    """
    system = state.require()
    system.stop()
    say(f"✓ Session stopped at {_clock(system)}")


@system_group.command("wait", short_help="Wait for a time of the market, or for the end.")
@click.argument("moment", required=False, metavar="[TIME|DURATION]")
@_pass_state
def wait_command(state: ShellState, moment: str | None) -> None:
    """Wait until the session's clock shows TIME, or is DURATION further; by default until the session's end.

    TIME is the exchange's: 09:45 of the day the clock shows, or 2025-07-02T09:45. DURATION is market time, such as
    30s, 5m or 1h. Ctrl-C ends the waiting, not the session.

    \b
    Examples:
      system wait 09:45
      system wait 5m
      system wait
    """
    system = state.require()
    target_us = None if moment is None else _target_us(system, moment)
    while target_us is None or system.snapshot.now_us < target_us:
        if system.state.value == "PAUSED":
            raise StateError(f"the session is PAUSED at {_clock(system)}: its clock stands", hint="system resume first")
        if system.wait(_POLL_S):
            break
    if target_us is not None and system.snapshot.now_us < target_us:
        wanted = system.time_manager.isoformat(target_us)
        raise StateError(f"the session ended at {_clock(system)}, before {wanted}")
    say(f"✓ The clock is at {_clock(system)}")


def _target_us(system: SystemManager, moment: str) -> int:
    from mismartera.schemas.interval import Interval

    time = system.time_manager
    if re.fullmatch(r"[0-9]+[smhd]", moment):
        length_us = Interval(moment).us
        if system.state.value == "RUNNING":
            _wait_for_activation(system)
        return system.snapshot.now_us + length_us
    if re.fullmatch(r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?", moment):
        moment = f"{time.to_local(system.snapshot.now_us).date()}T{moment}"
    return time.parse_local(moment)


@system_group.command("export-status", short_help="Write the state, or what is new in it, to a file.")
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
@_pass_state
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
    alone = "--format" if form else "--auto-compress" if auto_compress else ""
    if path is not None and alone:
        raise click.UsageError(f"{alone} is for exports without FILE; the suffix of {path} tells its form")
    names = [info.name for info in system.list_consumers()]
    if consumer not in names:
        raise UnknownNameError("consumer", consumer, names, hint=f"system register {consumer} adds it")
    written = system.export_status(
        path, complete=complete, debug=debug, consumer=consumer, form=form or "json", auto_compress=auto_compress
    )
    told = next(entry for entry in reversed(system.export_log.entries()) if entry["consumer"] == consumer)
    size = sum(file.stat().st_size for file in (written.iterdir() if written.is_dir() else [written]))
    say(f"✓ System status exported to: {written}")
    say(f"File size: {size:,} bytes ({size / 1024:.1f} KB)")
    say(f"Mode: {told['mode']}")
    say(f"Symbols: {state.consumers.get(consumer, len(system.session_data.symbols))}")
    say(f"Threads: {_THREADS}")
    say(f"New rows: {told['rows']:,}")


@system_group.command("json", short_help="Print the state, or what changed in it.")
@click.option("--complete", is_flag=True, help="Everything, not what changed since the last call.")
@click.option("--debug", is_flag=True, help="Add historical data, performance and queue depths.")
@_pass_state
def json_command(state: ShellState, complete: bool, debug: bool) -> None:
    """Print the state as JSON: by default what is different from the last call, and new rows.

    Calls with --debug and without are compared with the last of their own kind.

    \b
    Examples:
      system json
      system json --complete
      system json complete=true debug=true
    """
    say(pretty(state.require().to_json(complete, debug)))


@system_group.command("register", short_help="Add a consumer of exports.")
@click.argument("name")
@click.option("--symbols", metavar="A,B", help="Symbols its exports hold; by default all.")
@click.option("--intervals", metavar="1m,5m", help="Intervals, ticks and quotes they hold; by default all.")
@click.option("--sections", metavar="session,historical", help="Whose rows they hold; by default both.")
@_pass_state
def register_command(state: ShellState, /, name: str, **only: str | None) -> None:
    """Add NAME as a consumer of exports, with a cursor of its own. The same line again changes nothing.

    \b
    Examples:
      system register dashboard
      system register watcher symbols=AAPL,RIVN intervals=5m sections=session
    """
    system = state.require()
    parts: dict[str, Any] = {part: None if text is None else _listed(text) for part, text in only.items()}
    system.register_consumer(name, **parts)
    if parts["symbols"]:
        state.consumers[name] = len(set(parts["symbols"]))
    say(f"✓ Consumer {name} registered")


@system_group.command("consumers", short_help="List the consumers of exports.")
@_pass_state
def consumers_command(state: ShellState) -> None:
    """List the consumers of exports: how many each received, and how far it lags.

    \b
    Example:
      system consumers
    """
    infos = state.require().list_consumers()
    rows = [(info.name, info.sequence, info.last_update, info.lag_rows, info.lag_s) for info in infos]
    table("Consumers", ["name", "exports", "last", "rows behind", "seconds behind"], rows)


@system_group.command("reset-export", short_help="Forget what a consumer was sent.")
@click.argument("consumer", default="default")
@_pass_state
def reset_export_command(state: ShellState, consumer: str) -> None:
    """Forget what CONSUMER (default: default) was sent: its next export carries everything.

    \b
    Example:
      system reset-export dashboard
    """
    state.require().reset_export(consumer)
    say(f"✓ Consumer {consumer} starts over")


def _clock(system: SystemManager) -> str:
    return system.time_manager.isoformat(system.snapshot.now_us)


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
