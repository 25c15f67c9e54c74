"""The command line as its tests call it: in this process, on small catalogs; and what a catalog holds, byte by byte."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner

from mismartera.cli.main import cli

COMMAND = [sys.executable, "-m", "mismartera"]


class Outcome(NamedTuple):
    code: int
    out: str
    errors: list[str]


def run(*words: object) -> Outcome:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    return Outcome(result.exit_code, result.stdout, result.stderr.splitlines())


def write_config(path: Path, start: str, end: str, symbols: list[str], **changes: Any) -> Path:
    """Write a configuration; `changes` are fields of session_data_config or the top level."""
    config: dict[str, Any] = {
        "session_name": "Test run",
        "backtest_config": {"start_date": start, "end_date": end},
        "session_data_config": {"symbols": symbols, "streams": ["1m"], "derived_intervals": [5, 15, "1h"]},
    }
    for name, value in changes.items():
        (config if name in (*config, "mode") else config["session_data_config"])[name] = value
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
    return path


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
