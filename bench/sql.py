"""What SQL over live state costs: a query against a plain Arrow table, opening a snapshot, memory, opening exports."""

from __future__ import annotations

import datetime as dt
import gc
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa

from mismartera.engine.state.snapshot import Snapshot
from mismartera.engine.system.system_manager import SystemManager
from mismartera.sql.exports.open_exports import open_exports
from mismartera.sql.live.live_sql import LiveSql

from .setup import catalog, config
from .timing import Row, alternate, once, paired, repeat, show

TUESDAY, WEDNESDAY = dt.date(2025, 6, 10), dt.date(2025, 6, 11)
_QUERY = "SELECT symbol, avg(close) AS close, sum(volume) AS volume FROM {} GROUP BY symbol"
_LIVE = _QUERY.format("session_bars WHERE interval = '1m'")
_SYMBOLS, _MANY = 500, 2_000
_MB = 2**20


def run() -> bool:
    """Measure, print, and return whether the targets were met."""
    rows = [*_queries("13:00"), *_queries("16:00"), *_exports(), *_memory()]
    return show(
        "SQL",
        rows,
        [
            "live: a session open on the snapshot, the query checked and answered; plain: DuckDB alone over one Arrow "
            "table of the visible bars with their symbols as texts; ratio by run, measured in turn",
            "opening: a fresh session on a published snapshot, its tables made, closed again outside of the time",
            "memory: VmHWM over the first query minus VmRSS before it, after a query of a small session made DuckDB's "
            f"own; bars: all columns of {_MANY:,} symbols' 1m, 5m, 15m and 1h bars",
        ],
    )


def _queries(until: str) -> list[Row]:
    with catalog(_SYMBOLS, TUESDAY, WEDNESDAY) as source:
        system = SystemManager(config(_SYMBOLS, WEDNESDAY, WEDNESDAY, trailing_days=1), source)
        system.run(f"{WEDNESDAY}T{until}")
        snapshot = system.snapshot
        live = LiveSql(system.sql_facts)
        plain = duckdb.connect(":memory:")
        plain.register("bars", _plain(snapshot))
        text = _QUERY.format("bars")
        with live.open(snapshot) as session:
            figures = alternate(
                {"live": lambda: session.query(_LIVE), "plain": lambda: plain.sql(text).to_arrow_table()}, runs=25
            )
        ratio = paired(figures["live"], figures["plain"])
        first = repeat(lambda: live.query(_LIVE, snapshot), 15)
        opened = {
            "session_bars": repeat(lambda: _open(live, snapshot, ["session_bars"]), 15),
            "all 13 tables": repeat(lambda: _open(live, snapshot, None), 15),
        }
        live.close()
        plain.close()
    rows = sum(int(log.rows) for kind, log in snapshot.logs.items() if kind == "1m")
    return [
        Row(f"GROUP BY symbol, {_SYMBOLS} symbols at {until}, {rows:,} bars: live", figures["live"].text(1e3, 2, "ms")),
        Row("  plain Arrow table", figures["plain"].text(1e3, 2, "ms")),
        Row("  live / plain", ratio.text(1, 2), "within 1.5", ratio.median <= 1.5),
        Row("  live, opening the snapshot too", first.text(1e3, 2, "ms")),
        *(
            Row(f"  opening, {name} ready", figure.text(1e3, 2, "ms"), "under 15 ms", figure.median < 15e-3)
            for name, figure in opened.items()
        ),
    ]


def _plain(snapshot: Snapshot) -> pa.Table:
    """Return the visible one-minute bars as one Arrow table, every column its own."""
    log = snapshot.logs["1m"]
    parts = []
    for code, symbol in enumerate(snapshot.symbols):
        rows = log.table(code)
        parts.append(rows.append_column("symbol", pa.array([symbol] * rows.num_rows)))
    return pa.concat_tables(parts).combine_chunks()


def _open(live: LiveSql, snapshot: Snapshot, tables: list[str] | None) -> None:
    session = live.open(snapshot)
    if tables is None:
        session.prepare()
    else:
        session.prepare(tables)
    session.close()


def _exports() -> list[Row]:
    with catalog(_SYMBOLS, TUESDAY, WEDNESDAY) as source, TemporaryDirectory() as folder:
        system = SystemManager(config(_SYMBOLS, WEDNESDAY, WEDNESDAY, trailing_days=1), source)
        system.run()
        rows = []
        for form in ("json", "parquet", "arrow"):
            path = system.export_status(Path(folder) / f"state.{form}").path
            files = path.iterdir() if path.is_dir() else [path]
            size = sum(file.stat().st_size for file in files)
            taken = repeat(lambda path=path: open_exports([path]).close(), 3)  # type: ignore[misc]
            per = f", {taken.median / size * 1e8:.1f} s for 100 MB" if form == "json" else ""
            rows.append(Row(f"open_exports, {form}, {size / _MB:,.0f} MB{per}", taken.text(1e3, 0, "ms")))
        return rows


def _memory() -> list[Row]:
    with catalog(_MANY, WEDNESDAY, WEDNESDAY) as source:
        small = SystemManager(config(2, WEDNESDAY, WEDNESDAY), source)
        small.run()
        system = SystemManager(config(_MANY, WEDNESDAY, WEDNESDAY), source)
        system.run()
        live = LiveSql()
        live.query(_LIVE, small.snapshot)
        snapshot = system.snapshot
        held = sum(segment.nbytes for log in snapshot.logs.values() for segment in log.segments)
        gc.collect()
        before, arrow = _status("VmRSS"), pa.total_allocated_bytes()
        Path("/proc/self/clear_refs").write_text("5")
        taken = once(lambda: live.query(_LIVE, snapshot))
        grown = max(_status("VmHWM") - before, 0)
        made = pa.total_allocated_bytes() - arrow
        live.close()
    share = 100 * grown / held
    name = f"GROUP BY symbol, {_MANY:,} symbols, {held / _MB:,.0f} MB of bars"
    return [
        Row(f"{name}, first query", f"{taken * 1e3:,.1f} ms"),
        Row(
            "  memory growth at its highest",
            f"{grown / _MB:,.2f} MB, {share:.2f} % of the bars",
            "under 5 %",
            share < 5,
        ),
        Row("  Arrow memory kept after it", f"{made / _MB:,.2f} MB"),
    ]


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0
