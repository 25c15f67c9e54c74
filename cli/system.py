"""`system …` at the shell's prompt: start a session in the background, watch it, stop it."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mismartera.schemas.errors import StateError

from .console import catalog_option, say, table
from .shell_state import ShellState, pass_state
from .system_exports import EXPORT_COMMANDS

if TYPE_CHECKING:
    from mismartera.engine.system.system_manager import SystemManager
    from mismartera.schemas.config import SessionConfig

_PAUSE_SEEN_S = 0.5


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
@pass_state
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
    from mismartera.engine.system.system_manager import SystemManager

    from .config import read_config

    if state.streaming:
        raise StateError(f"a session is {state.require().state.value} already", hint="system stop ends it")
    path = config or state.config
    if path is None:
        raise click.UsageError("name a configuration: system start CONFIG", click.get_current_context())
    chosen = with_speed(read_config(path), speed)
    system = SystemManager(chosen, catalog)
    system.start(until)
    state.system = system
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
    snapshot = system.snapshot
    while not snapshot.active:
        if system.published.closed:
            system.wait()
            return
        snapshot = system.published.wait(snapshot)


@system_group.command("status", short_help="Say what the session is doing.")
@pass_state
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
    missing = {name: kind.missing.sum() for name, kind in snapshot.kinds.items() if kind.gaps is not None}
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
@pass_state
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
@pass_state
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
@pass_state
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
@pass_state
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
    snapshot = system.snapshot
    while target_us is None or snapshot.now_us < target_us:
        if system.state.value == "PAUSED":
            raise StateError(f"the session is PAUSED at {_clock(system)}: its clock stands", hint="system resume first")
        if system.wait(0.0 if target_us is not None else _PAUSE_SEEN_S):
            break
        if target_us is not None:
            snapshot = system.published.wait(snapshot, _PAUSE_SEEN_S)
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


def _clock(system: SystemManager) -> str:
    return system.time_manager.isoformat(system.snapshot.now_us)


for command in EXPORT_COMMANDS:
    system_group.add_command(command)
