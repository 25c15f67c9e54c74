"""`mismartera config`: write an example configuration, check one, and describe all that one can hold."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .console import say, table

if TYPE_CHECKING:
    from mismartera.schemas.config import SessionConfig

EXAMPLE: dict[str, Any] = {
    "session_name": "Example Session",
    "mode": "backtest",
    "exchange_group": "US_EQUITY",
    "asset_class": "EQUITY",
    "backtest_config": {
        "start_date": "2025-07-01",
        "end_date": "2025-07-03",
        "prefetch_days": 1,
        "speed_multiplier": 0,
    },
    "session_data_config": {
        "symbols": ["RIVN", "AAPL"],
        "streams": ["1m"],
        "derived_intervals": ["5m", "15m"],
        "historical": {
            "enabled": True,
            "data": [{"interval": "1m", "trailing_days": 2}, {"interval": "1d", "trailing_days": 5}],
            "indicators": {
                "avg_volume_2d": {"type": "daily_average", "field": "volume", "trailing_days": 2},
                "avg_volume_by_minute": {"type": "intraday_average", "field": "volume", "trailing_days": 2},
                "high_5d": {"type": "field_max", "field": "high", "trailing_days": 5},
                "low_5d": {"type": "field_min", "field": "low", "trailing_days": 5},
            },
        },
        "quality": {"enabled": True},
        "extended_hours": False,
    },
}
"""What `config init` writes: every field once, each with a value that does something."""

_OTHER_FORMATS = (".yaml", ".yml", ".toml", ".ini")
_MOST_NAMES = 5


def read_config(path: Path) -> SessionConfig:
    """Read and validate a configuration; raises `ConfigError`, whose hint fits where there is no such file."""
    from mismartera.schemas.config import load_config
    from mismartera.schemas.errors import ConfigError

    try:
        return load_config(path)
    except ConfigError as error:
        if not path.is_file():
            error.hint = _where_else(path)
        elif path.suffix.lower() in _OTHER_FORMATS:
            error.hint = "a configuration is written in JSON; 'mismartera config init' writes an example"
        raise


def _where_else(path: Path) -> str:
    """Return as a hint which file may be meant where `path` is none."""
    folder = path if path.is_dir() else path.parent
    names = sorted(entry.name for entry in folder.glob("*.json") if entry.is_file())
    close = difflib.get_close_matches(path.name, names, n=1) or (names if len(names) == 1 else [])
    if close:
        return f"did you mean {folder / close[0]}?"
    if names:
        more = ", …" if len(names) > _MOST_NAMES else ""
        return f"{folder if folder.name else 'this folder'} holds {', '.join(names[:_MOST_NAMES])}{more}"
    return f"mismartera config init {folder / 'session.json'}"


@click.group("config")
def config_group() -> None:
    """Write, check and describe session configurations.

    A configuration is a JSON file that says which symbols a session holds, over which days, what is derived from
    their bars and how much history is kept.

    \b
    Examples:
      mismartera config init session.json
      mismartera config validate session.json
    """


@config_group.command("init", short_help="Write a complete example to edit.")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), default=Path("session.json"))
@click.option("--force", is_flag=True, help="Overwrite PATH if it exists.")
def init_command(path: Path, force: bool) -> None:
    """Write a complete example to PATH (default: session.json), to edit from there.

    It holds every field. 'mismartera config schema' tells what each one means.

    \b
    Examples:
      mismartera config init
      mismartera config init monday.json
    """
    from mismartera.engine.files.atomic import replacing
    from mismartera.schemas.errors import ConfigError, StateError

    if path.suffix.lower() not in ("", ".json"):
        refused = ConfigError(str(path), ["a configuration is written in JSON, and the name says otherwise"])
        refused.hint = f"mismartera config init {path.with_suffix('.json')}"
        raise refused
    if path.exists() and not force:
        raise StateError(f"{path} exists already", hint="--force overwrites it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path.resolve()) as file:
            file.write(json.dumps(EXAMPLE, indent=2).encode() + b"\n")
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be written: {error.strerror}"]) from error
    say(f"Wrote {path}. Next:")
    say(f"  mismartera config validate {path}")


@config_group.command("validate", short_help="Check a configuration and say what it does.")
@click.argument("path", type=click.Path(path_type=Path))
@click.pass_context
def validate_command(ctx: click.Context, path: Path) -> None:
    """Check the configuration at PATH, and say what a session of it would do.

    Names every wrong field with its value and what is allowed, one a line, and exits with 1 if there is any.

    \b
    Example:
      mismartera config validate session.json
    """
    from mismartera.schemas.errors import ConfigError

    try:
        config = read_config(path)
    except ConfigError as error:
        click.echo(f"error: {error.source}", err=True)
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
        click.echo(f"hint: {error.hint}", err=True)
        ctx.exit(1)
    table(f"{path} is valid", ["what", "value"], _summary(config))


def _summary(config: SessionConfig) -> list[tuple[str, str]]:
    """Return what a session of `config` would do, as lines of a table."""
    window, data = config.backtest_config, config.session_data_config
    history = data.historical
    kept = [f"{entry.interval} for {entry.trailing_days} sessions" for entry in history.data]
    indicators = [
        f"{name}: {item.type} of {item.field} over {item.trailing_days} sessions of {history.interval_for(item)}"
        for name, item in history.indicators.items()
    ]
    return [
        ("name", config.session_name),
        ("mode", config.mode),
        ("window", f"{window.start_date} to {window.end_date}" if window else "live: from now on"),
        ("exchange", f"{config.exchange_group} ({'extended' if data.extended_hours else 'regular'} hours)"),
        ("symbols", _listed(list(data.symbols))),
        ("streamed", str(data.base_interval)),
        ("derived", _listed([str(interval) for interval in data.generated_intervals])),
        ("other streams", _listed([stream for stream in data.streams if stream in ("ticks", "quotes")])),
        ("history", _listed(kept if history.enabled else [])),
        *(("indicator", line) for line in (indicators if history.enabled else [])),
        ("quality and gaps", "on" if data.quality.enabled else "off"),
    ]


def _listed(names: list[str], most: int = 8) -> str:
    if not names:
        return "none"
    more = f" … ({len(names):,} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more


@config_group.command("schema", short_help="Print the JSON Schema of a configuration.")
def schema_command() -> None:
    """Print the JSON Schema of a configuration: every field, what it means and allows.

    Editors complete and check a configuration that names it:

    \b
      mismartera config schema > session.schema.json
      then, at the top of session.json:  "$schema": "session.schema.json"
    """
    from mismartera.schemas.config import json_schema

    say(json.dumps(json_schema(), indent=2))
