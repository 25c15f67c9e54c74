"""The laws of a session fed by hand: what it holds does not depend on how the rows came in."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mismartera.engine.session.session_data import SessionData
from mismartera.schemas.bars import BAR_SCHEMA

from .naive import Row
from .worlds import laws, table_of

SYMBOLS = ["B", "A.X", "C"]
START_US = 1_720_013_400_000_000
MINUTE_US = 60_000_000
PRICES = [1.0, 1.1, 0.1 + 0.2]


@st.composite
def arrivals(draw: st.DrawFn) -> list[Row]:
    """Rows in order of arrival: new, late, repeated and corrected ones of several symbols."""
    keys = st.tuples(st.sampled_from(SYMBOLS), st.integers(0, 7), st.sampled_from(PRICES), st.sampled_from([0, 5]))
    return [
        Row(symbol, START_US + minute * MINUTE_US, price, price, price, price, volume)
        for symbol, minute, price, volume in draw(st.lists(keys, max_size=40))
    ]


class Held:
    """A dictionary of revisions per key, one row after another."""

    def __init__(self) -> None:
        self.revisions: dict[tuple[str, int], list[Row]] = {}
        self.arrived: dict[str, list[tuple[Row, int]]] = {symbol: [] for symbol in SYMBOLS}
        self.accepted = self.identical = self.revised = self.late = 0

    def add(self, row: Row) -> None:
        held = self.revisions.setdefault((row.symbol, row.start_us), [])
        if held and held[-1] == row:
            self.identical += 1
            return
        latest = max((other.start_us for other, _ in self.arrived[row.symbol]), default=0)
        self.accepted += 1
        self.revised += bool(held)
        self.late += not held and row.start_us < latest
        held.append(row)
        self.arrived[row.symbol].append((row, len(held) - 1))

    def current(self, symbol: str) -> list[tuple[Row, int]]:
        keys = sorted(key for key in self.revisions if key[0] == symbol)
        return [(self.revisions[key][-1], len(self.revisions[key]) - 1) for key in keys]


def rows_of(symbol: str, table: pa.Table) -> list[tuple[Row, int]]:
    table = table.set_column(0, "timestamp", table.column("timestamp").cast(pa.int64()))
    names = ("timestamp", "open", "high", "low", "close", "volume")
    return [(Row(symbol, *(row[name] for name in names)), row["revision"]) for row in table.to_pylist()]


def split(rows: list[Row], cuts: list[int]) -> list[list[Row]]:
    edges = [0, *sorted({cut % (len(rows) + 1) for cut in cuts}), len(rows)]
    return [rows[a:b] for a, b in pairwise(edges)]


def feed(rows: list[Row], cuts: list[int]) -> tuple[SessionData, dict[str, int]]:
    data = SessionData(SYMBOLS, timezone="America/New_York")
    totals = dict.fromkeys(("accepted", "identical", "revised", "late"), 0)
    for batch in split(rows, cuts):
        result = data.append_bars("1m", table_of(batch) if batch else BAR_SCHEMA.empty_table())
        for name in totals:
            totals[name] += getattr(result, name)
    return data, totals


CUTS = st.lists(st.integers(0, 40), max_size=12)


@laws(200)
@given(arrivals(), CUTS)
def test_a_fed_session_is_a_dictionary_of_revisions(rows: list[Row], cuts: list[int]) -> None:
    data, totals = feed(rows, cuts)
    held = Held()
    for row in rows:
        held.add(row)
    for symbol in SYMBOLS:
        assert rows_of(symbol, data.get_bars(symbol, "1m")) == held.current(symbol)
        arrived = data.snapshot.logs["1m"].table(data.code(symbol))
        assert rows_of(symbol, arrived) == held.arrived[symbol]
    assert totals == {name: getattr(held, name) for name in totals}


@laws(100)
@given(arrivals(), CUTS)
def test_metrics_are_those_of_the_current_rows(rows: list[Row], cuts: list[int]) -> None:
    data, _ = feed(rows, cuts)
    held = Held()
    for row in rows:
        held.add(row)
    for symbol in SYMBOLS:
        current = [row for row, _ in held.current(symbol)]
        shown = data.get_symbol_data(symbol)
        volume = sum(row.volume for row in current)
        turnover = 0.0
        for row in current:
            turnover += (row.high + row.low + row.close) / 3 * row.volume
        assert shown.session_volume == volume
        assert shown.session_high == max((row.high for row in current), default=None)
        assert shown.session_low == min((row.low for row in current), default=None)
        assert shown.session_vwap == (turnover / volume if volume else None)


@laws(100)
@given(arrivals(), CUTS, CUTS)
def test_the_split_into_batches_does_not_matter(rows: list[Row], cuts: list[int], others: list[int]) -> None:
    one, its_totals = feed(rows, cuts)
    two, totals = feed(rows, others)
    assert its_totals == totals
    assert one.to_json() == two.to_json()
    for symbol in SYMBOLS:
        assert one.get_bars(symbol, "1m").equals(two.get_bars(symbol, "1m"))


@laws(100)
@given(arrivals(), CUTS)
def test_a_row_offset_never_changes(rows: list[Row], cuts: list[int]) -> None:
    data = SessionData(SYMBOLS)
    views: list[tuple[Any, dict[str, pa.Table]]] = []
    for batch in split(rows, cuts):
        if batch:
            data.append_bars("1m", table_of(batch))
        log = data.snapshot.logs["1m"]
        views.append((log, {symbol: log.table(data.code(symbol)) for symbol in SYMBOLS}))
    latest = data.snapshot.logs["1m"]
    for log, tables in views:
        for symbol, table in tables.items():
            code = data.code(symbol)
            assert log.table(code).equals(table)
            assert latest.table(code, 0, int(log.visible[code])).equals(table)
