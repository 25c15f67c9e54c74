"""`mismartera demo`: the main job on made-up bars, in a folder one can look into."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import click

from .answers import show_answer
from .backtest import run_to_end
from .console import progress, say
from .report import show_run

_SYMBOLS = ["AAPL", "BRK.B", "MSFT", "RIVN"]
_SESSION = {
    "session_name": "Demo",
    "mode": "backtest",
    "exchange_group": "US_EQUITY",
    "asset_class": "EQUITY",
    "backtest_config": {"start_date": "2025-07-02", "end_date": "2025-07-03"},
    "session_data_config": {
        "symbols": _SYMBOLS,
        "streams": ["1m"],
        "derived_intervals": ["5m", "15m", "1h"],
        "historical": {
            "data": [{"interval": "1m", "trailing_days": 3}, {"interval": "1d", "trailing_days": 5}],
            "indicators": {
                "avg_volume_2d": {"type": "daily_average", "field": "volume", "trailing_days": 2},
                "high_5d": {"type": "field_max", "field": "high", "trailing_days": 5},
            },
        },
    },
}

_QUESTIONS = [
    (
        "Which symbols traded most?",
        "SELECT symbol, avg(close) AS close, sum(volume) AS volume FROM session_bars WHERE interval = '1m' "
        "GROUP BY symbol ORDER BY volume DESC",
    ),
    (
        "Where is data missing?",
        "SELECT symbol, start_time, end_time, bar_count FROM gaps WHERE interval = '1m' AND scope = 'session' "
        "ORDER BY bar_count DESC, symbol, start_time LIMIT 5",
    ),
]


@click.command("demo")
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data/demo"),
    show_default=True,
    help="Where the demo puts its catalog, configuration and export.",
)
def demo_command(folder: Path) -> None:
    """See it work: make up bars, run a two-day session of four symbols, export it, ask it two questions in SQL.

    The second day, 2025-07-03, closes early at 13:00. Nothing outside the folder is touched; run it as often as
    you like.

    \b
    Example:
      mismartera demo --dir /tmp/demo
    """
    from mismartera.engine.data.catalog import Catalog
    from mismartera.engine.data.generate import generate
    from mismartera.engine.system.system_manager import SystemManager

    catalog, config, state = folder / "catalog", folder / "session.json", folder / "state.json"
    with progress("Generating") as update:
        window = dt.date(2025, 6, 20), dt.date(2025, 7, 3)
        made = generate(Catalog(catalog), _SYMBOLS, *window, seed=7, missing=0.01, daily=True, progress=update)
    bars = made.rows["1m"]
    say(f"made up {bars:,} one-minute bars of {made.symbols} symbols over {made.sessions} sessions: {catalog}")
    config.write_text(json.dumps(_SESSION, indent=2) + "\n", encoding="utf-8")
    say(f"wrote the session's configuration: {config}")
    say()
    system = SystemManager(config, catalog)
    run_to_end(system)
    show_run(system)
    receipt = system.export_status(state)
    say()
    say(f"exported the complete state: {state} ({receipt.bytes:,} bytes)")
    say()
    for question, query in _QUESTIONS:
        say(question)
        say(f"  {query}")
        show_answer(system.sql(query))
        say()
    say("now try:")
    say(f"  mismartera export show {state}")
    say(f"  mismartera sql @longest_gaps --exports {state}")
    say(f"  mismartera data list --catalog {catalog}")
    say(f"  mismartera backtest run {config} --catalog {catalog} --until 2025-07-02T11:30 --export {folder}/1130.json")
