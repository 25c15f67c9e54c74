"""The tables a query may read: the same names, columns and types over live state, exports and a catalog."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from mismartera.schemas.bars import TIMESTAMP

ARROW_TYPES = {
    "VARCHAR": pa.string(),
    "TIMESTAMPTZ": TIMESTAMP,
    "DATE": pa.date32(),
    "DOUBLE": pa.float64(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "BOOLEAN": pa.bool_(),
}
"""The Arrow type of each SQL type used here."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, SQL type, unit ("" for none) and what it says."""

    name: str
    type: str
    unit: str
    description: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name, what one row of it is, and its columns."""

    name: str
    description: str
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pa.Schema:
        """The columns as an Arrow schema."""
        return pa.schema([(column.name, ARROW_TYPES[column.type]) for column in self.columns])


def _columns(text: str) -> tuple[Column, ...]:
    """Read lines of ``name TYPE unit description``; a unit of ``-`` is none."""
    rows = (line.split(maxsplit=3) for line in text.strip().splitlines())
    return tuple(Column(name, kind, "" if unit == "-" else unit, said) for name, kind, unit, said in rows)


_BARS = """
symbol       VARCHAR     -      the symbol
interval     VARCHAR     -      length of the bar: 1s, 1m, 5m, 1h, 1d
timestamp    TIMESTAMPTZ -      start of the bar; of a daily bar its date at 00:00 UTC
session_date DATE        -      the trading session it belongs to
open         DOUBLE      price  first price
high         DOUBLE      price  highest price
low          DOUBLE      price  lowest price
close        DOUBLE      price  last price
volume       BIGINT      shares traded
generated    BOOLEAN     -      true where it was derived from a finer interval
n_base       INTEGER     bars   base bars it is made of, 1 if not generated; JSON exports do not tell: NULL if generated
n_expected   INTEGER     bars   base bars it would be made of without a gap; NULL where no calendar tells
revision     INTEGER     -      0, then 1, 2, … for later values of one bar; JSON exports do not tell: 0
available_at TIMESTAMPTZ -      when it could first be known: the end of the bar, or the close that cuts it short
"""

SQL_TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "session_bars",
            "a bar of the current session as it arrived, every revision of it; of a catalog, the last or named one, "
            "with extended hours if they are stored; a running session has them only if it is so configured",
            _columns(_BARS),
        ),
        Table("historical_bars", "a bar of a session before the current one", _columns(_BARS)),
        Table("bars", "a bar of either, in its latest revision; extended hours as there", _columns(_BARS)),
        Table(
            "ticks",
            "a trade of the current session; of a catalog, of every date",
            _columns("""
symbol       VARCHAR     -      the symbol
timestamp    TIMESTAMPTZ -      when it was made
session_date DATE        -      the trading session
price        DOUBLE      price  its price
size         BIGINT      shares traded
exchange     VARCHAR     -      where, NULL if not told
available_at TIMESTAMPTZ -      when it could first be known
"""),
        ),
        Table(
            "quotes",
            "a best bid and offer of the current session; of a catalog, of every date",
            _columns("""
symbol       VARCHAR     -      the symbol
timestamp    TIMESTAMPTZ -      from when it held
session_date DATE        -      the trading session
bid          DOUBLE      price  best bid
ask          DOUBLE      price  best offer
bid_size     BIGINT      shares at the bid
ask_size     BIGINT      shares at the offer
available_at TIMESTAMPTZ -      when it could first be known
"""),
        ),
        Table(
            "gaps",
            "a run of expected bars that are missing, in regular hours",
            _columns("""
symbol       VARCHAR     -      the symbol
interval     VARCHAR     -      length of the bars
scope        VARCHAR     -      session, or historical: the sessions before it; of a catalog, all that are stored
session_date DATE        -      the trading session
start_time   TIMESTAMPTZ -      first missing bar's start
end_time     TIMESTAMPTZ -      last missing bar's start
bar_count    BIGINT      bars   missing bars
retry_count  INTEGER     -      attempts to fill it (live mode)
last_retry   TIMESTAMPTZ -      when the last attempt was made, else NULL
"""),
        ),
        Table(
            "quality",
            "how whole the bars of a symbol and interval are, in regular hours",
            _columns("""
symbol       VARCHAR     -      the symbol
interval     VARCHAR     -      length of the bars
scope        VARCHAR     -      session, or historical: the sessions before it; of a catalog, all that are stored
quality      DOUBLE      %      bars that are there of those expected, rounded down to two decimals; else NULL
bars         BIGINT      bars   distinct bars there are; of a catalog, expected ones
gap_count    BIGINT      -      gap ranges
missing_bars BIGINT      bars   expected bars that are missing
"""),
        ),
        Table(
            "session_metrics",
            "what a symbol did in the current session",
            _columns("""
symbol       VARCHAR     -      the symbol
session_date DATE        -      the trading session
volume       BIGINT      shares traded
high         DOUBLE      price  highest price, NULL before the first bar
low          DOUBLE      price  lowest price, NULL before the first bar
vwap         DOUBLE      price  volume-weighted average of (high + low + close) / 3, NULL while the volume is 0
"""),
        ),
        Table(
            "indicators",
            "a value of a historical indicator",
            _columns("""
name         VARCHAR     -      the indicator's name in the configuration
symbol       VARCHAR     -      the symbol
minute       INTEGER     min    minute of the session from 0, NULL for one value a session
value        DOUBLE      -      in the unit of the field it is made of, NULL where there is none
"""),
        ),
        Table(
            "symbols",
            "a symbol that is held",
            _columns("""
symbol       VARCHAR     -      the symbol
position     INTEGER     -      its place in the order of registration, from 0; where unknown, of the alphabet
"""),
        ),
        Table(
            "exports",
            "an export that was delivered; of a live system with what it took, of files those opened, as of --as-of; a "
            "catalog has none",
            _columns("""
consumer     VARCHAR     -      who took it
sequence     BIGINT      -      its number for that consumer, from 1
mode         VARCHAR     -      complete or delta
format       VARCHAR     -      json, json.gz, json.zst, parquet, arrow
generated_at TIMESTAMPTZ -      the engine's clock when it was taken
rows         BIGINT      rows   rows it carries
bytes        BIGINT      bytes  written
snapshot_us  BIGINT      µs     taking the snapshot and planning; files do not tell: NULL
encode_us    BIGINT      µs     encoding rows; files do not tell: NULL
write_us     BIGINT      µs     writing; files do not tell: NULL
sync_us      BIGINT      µs     flushing to disk and renaming; files do not tell: NULL
total_us     BIGINT      µs     from the call to its return; files do not tell: NULL
"""),
        ),
        Table(
            "threads",
            "a thread of the engine",
            _columns("""
name         VARCHAR     -      its name in exports
alive        BOOLEAN     -      whether it lives
daemon       BOOLEAN     -      whether it ends with the process
running      BOOLEAN     -      whether it is in its work
details      VARCHAR     JSON   all it tells of itself
"""),
        ),
        Table(
            "config",
            "a field of the session's configuration",
            _columns("""
key          VARCHAR     -      path of the field, joined by dots
value        VARCHAR     JSON   its value
"""),
        ),
    )
}
"""Every table by name."""


def suggestions(tables: Iterable[str]) -> list[str]:
    """Return the names of all columns of some tables, sorted, each once."""
    return sorted({column.name for table in tables if table in SQL_TABLES for column in SQL_TABLES[table].columns})
