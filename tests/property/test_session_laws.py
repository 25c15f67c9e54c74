"""The laws of a session: what a run shows at every step is what the naive model says, and nothing of the future."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mismartera.engine.system.system_manager import SystemManager
from tests.contract import load_contract

from .naive import Bar, Day, length_us, percent, trailing
from .worlds import World, laws, random_row, worlds


def bars_of(table: pa.Table) -> list[Bar]:
    names = ("timestamp", "open", "high", "low", "close", "volume", "n_base", "n_expected", "available_at")
    columns = []
    for name in names:
        column = table.column(name)
        columns.append((column.cast(pa.int64()) if name in ("timestamp", "available_at") else column).to_pylist())
    return [Bar(*values) for values in zip(*columns, strict=True)]


def micros(moment: Any) -> int:
    return round(moment.timestamp() * 1_000_000)


class Watcher:
    """Compares the system with the naive model at each step it takes."""

    def __init__(self, system: SystemManager, world: World) -> None:
        self.system, self.world = system, world
        self.days = {session.date: world.day(session) for session in world.window}
        self.visited: dict[str, list[int]] = {date: [] for date in self.days}
        system.hooks.stepped.append(self.step)

    def step(self, now_us: int) -> None:
        data = self.system.session_data
        session = data.snapshot.session
        assert session is not None
        assert data.snapshot.now_us == now_us == self.system.time_manager.now_us
        day = self.days[str(session.date)]
        self.visited[str(session.date)].append(now_us)
        for symbol in self.world.symbols:
            for interval in (self.world.base, *self.world.derived):
                self.compare(day, symbol, interval, now_us)
            held = data.get_symbol_data(symbol)
            shown = (held.session_volume, held.session_high, held.session_low, held.session_vwap)
            assert shown == day.metrics(symbol, now_us), (symbol, now_us)

    def compare(self, day: Day, symbol: str, interval: str, now_us: int) -> None:
        data, where = self.system.session_data, (symbol, interval, day.session.clock(now_us))
        assert bars_of(data.get_bars(symbol, interval, part="session")) == day.bars(symbol, interval, now_us), where
        assert data.get_quality(symbol, interval) == day.quality(symbol, interval, now_us), where
        gaps = [(micros(g.start_time), micros(g.end_time), g.bar_count) for g in data.get_gaps(symbol, interval)]
        assert gaps == day.gaps(symbol, interval, now_us), where


@laws(22)
@given(worlds())
def test_every_step_is_what_the_naive_model_says(world: World) -> None:
    run_and_compare(world)


@laws(4)
@given(worlds(half_minutes=True))
def test_every_step_of_half_minute_bars_too(world: World) -> None:
    run_and_compare(world)


def run_and_compare(world: World) -> None:
    with world.system() as system:
        watcher = Watcher(system, world)
        system.run()
        summary = system.get_backtest_summary()
    assert watcher.visited == {date: day.steps(*world.derived) for date, day in watcher.days.items()}
    assert summary["rows_outside_session"] == sum(day.outside() for day in watcher.days.values())
    bars = sum(len(day.all_bars(symbol, world.base)) for day in watcher.days.values() for symbol in world.symbols)
    assert summary["bars"] == bars
    assert summary["sessions"] == len(world.window)


# --- no look-ahead ------------------------------------------------------------------------------------------------


def instants(world: World) -> st.SearchStrategy[int]:
    """Instants of the window: on a step and between two."""
    steps = [us for session in world.window for us in world.day(session).steps()]
    return st.builds(lambda us, shift: us + shift, st.sampled_from(steps), st.sampled_from([0, 0, 1, 17_000_000]))


def state_at(world: World, now_us: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Session data and the numbers of each snapshot of a run that stops at `now_us`."""
    local = pl.Series([now_us]).cast(pl.Datetime("us", "UTC")).dt.to_string("%Y-%m-%dT%H:%M:%S%.6f+00:00")[0]
    with world.system() as system:
        system.run(until=local)
        exported = system.system_info(complete=True)
        figures = {
            (symbol, interval): bars_of(system.session_data.get_bars(symbol, interval))
            for symbol in world.symbols
            for interval in (world.base, *world.derived)
        }
    return exported["session_data"], figures


def known_at(world: World, now_us: int) -> set[tuple[str, int]]:
    """Keys of rows that could be known: those whose bar has ended."""
    known = set()
    for session in world.sessions:
        buckets = session.buckets(world.base, extended=world.extended)
        for row in world.rows:
            ends = [bucket.known_us for bucket in buckets if bucket.label_us <= row.start_us < bucket.known_us]
            if session.has(row.start_us) and (ends[0] if ends else row.start_us + length_us(world.base)) <= now_us:
                known.add((row.symbol, row.start_us))
    return known


@laws(20)
@given(worlds(), st.data())
def test_no_look_ahead(world: World, data: st.DataObject) -> None:
    now_us = data.draw(instants(world))
    known = known_at(world, now_us)
    past = [row for row in world.rows if (row.symbol, row.start_us) in known]
    rest = [row for row in world.rows if (row.symbol, row.start_us) not in known]
    randomness = random.Random(data.draw(st.integers(0, 2**32)))
    altered = [random_row(randomness, row.symbol, row.start_us) for row in rest if randomness.random() < 0.7]
    session = world.window[-1]
    added = [
        random_row(randomness, symbol, bucket.label_us)
        for symbol in world.symbols
        for bucket in session.buckets(world.base, extended=world.extended)
        if bucket.known_us > now_us and randomness.random() < 0.1
    ]
    future = {(row.symbol, row.start_us): row for row in [*added, *altered]}
    state = state_at(world, now_us)
    assert state_at(world.with_rows(past), now_us) == state
    assert state_at(world.with_rows([*past, *future.values()]), now_us) == state


@laws(8)
@given(worlds(), st.data())
def test_a_run_that_stops_shows_what_a_run_that_goes_on_showed(world: World, data: st.DataObject) -> None:
    now_us = data.draw(st.sampled_from([us for session in world.window for us in world.day(session).steps()[:-1]]))
    seen: list[Any] = []
    with world.system() as system:

        def stepped(us: int) -> None:
            if us == now_us:
                seen.append(system.system_info(complete=True)["session_data"])

        system.hooks.stepped.append(stepped)
        system.run()
    assert seen == [state_at(world, now_us)[0]]


# --- history ------------------------------------------------------------------------------------------------------


def history_of(system: SystemManager, world: World) -> dict[str, Any]:
    symbols = system.session_data.to_json()["symbols"]
    intervals = system.session_data.snapshot.history.intervals
    return {
        symbol: (
            symbols[symbol]["historical"],
            {i: bars_of(system.session_data.get_bars(symbol, i, part="historical")) for i in intervals},
        )
        for symbol in world.symbols
    }


def expected_history(world: World, date: str, symbol: str, interval: str) -> dict[str, Any]:
    """The section of an export, from the naive model."""
    days = [world.day(session) for session in trailing(world.sessions, date, world.trailing_days)]
    forever = 1 << 60
    bars = [(day.session, bar) for day in days for bar in day.all_bars(symbol, interval)]
    daily = interval == "1d"

    def label(session: Any, us: int) -> str:
        return str(session.date) if daily else f"{session.date}T{session.clock(us)}"

    ranges = [
        {"start_time": label(day.session, a), "end_time": label(day.session, b), "bar_count": n}
        for day in days
        for a, b, n in day.gaps(symbol, interval, forever)
    ]
    expected = sum(len(day.expected(interval, forever)) for day in days)
    missing = sum(len(day.missing(symbol, interval, forever)) for day in days)
    dates = sorted({session.date for session, _ in bars})
    section: dict[str, Any] = {
        "count": len(bars),
        "dates": dates,
        "date_range": {
            "start_date": dates[0] if dates else None,
            "end_date": dates[-1] if dates else None,
            "days": len(dates),
        },
        "quality": percent(expected - missing, expected),
        "generated": interval != world.base,
        "gaps": {"gap_count": len(ranges), "missing_bars": missing, "ranges": ranges},
    }
    if bars:
        section["columns"] = ["timestamp", "open", "high", "low", "close", "volume"]
        section["data"] = [[label(session, bar.start_us), *bar[1:6]] for session, bar in bars]
    return section


@laws(15)
@given(worlds(max_sessions=3).filter(lambda world: world.trailing_days > 0))
def test_history_is_that_of_a_fresh_run_and_of_the_naive_model(world: World) -> None:
    rolled: dict[str, dict[str, Any]] = {}
    with world.system() as system:
        system.hooks.activated.append(
            lambda: rolled.setdefault(str(system.snapshot.session.date), history_of(system, world))
        )
        system.run()
    assert list(rolled) == [session.date for session in world.window]
    for number, session in enumerate(world.window):
        for symbol in world.symbols:
            section, bars = rolled[session.date][symbol]
            for interval in (world.base, world.derived[0]):
                assert section["data"][interval] == expected_history(world, session.date, symbol, interval)
                days = [world.day(past) for past in trailing(world.sessions, session.date, world.trailing_days)]
                assert bars[interval] == [bar for day in days for bar in day.all_bars(symbol, interval)]
        if number:
            fresh = World(**{**vars(world), "first": world.first + number})
            with fresh.system() as again:
                again.run(until=f"{session.date}T{session.clock(session.open_us)}")
                assert history_of(again, world) == rolled[session.date]


@laws(12)
@given(worlds().filter(lambda world: world.trailing_days > 0 and not world.extended))
def test_indicators_are_naive_means(world: World) -> None:
    session = world.window[0]
    days = [world.day(past) for past in trailing(world.sessions, session.date, world.trailing_days)]
    with world.system() as system:
        system.run(until=f"{session.date}T{session.clock(session.open_us)}")
        read = system.session_data.get_historical_indicator
        for symbol in world.symbols:
            daily = [day.all_bars(symbol, world.base) for day in days]
            volumes = [sum(bar.volume for bar in bars) for bars in daily if bars]
            opens = [bars[0].open for bars in daily[-1:] if bars]
            highs = [bar.high for bars in daily for bar in bars]
            lows = [bar.low for bars in daily[-1:] for bar in bars]
            close_to(read("mean_volume", symbol), mean(volumes))
            close_to(read("mean_open", symbol), mean(opens))
            np.testing.assert_equal(read("highest", symbol), max(highs, default=np.nan))
            np.testing.assert_equal(read("lowest", symbol), min(lows, default=np.nan))
            if world.base != "5m":
                close_to(read("by_minute", symbol), by_minute(world, days, symbol))


def by_minute(world: World, days: list[Day], symbol: str) -> list[float]:
    """Mean close of each minute of the session, minutes counted over its trading segments."""
    now = 1 << 60
    count = len(Day(world.window[0], [], "1m").expected("1m", now))
    values: list[list[float]] = [[] for _ in range(count)]
    for day in days:
        starts = [bucket.label_us for bucket in day.expected("1m", now)]
        for bar in day.all_bars(symbol, "1m"):
            place = starts.index(bar.start_us)
            if place < count:
                values[place].append(bar.close)
    return [mean(each) for each in values]


def mean(values: list[Any]) -> float:
    return sum(values) / len(values) if values else float("nan")


def close_to(found: Any, wanted: Any) -> None:
    assert np.shape(found) == np.shape(wanted)
    assert np.isclose(found, wanted, rtol=1e-12, atol=0.0, equal_nan=True).all(), (found, wanted)


# --- exports ------------------------------------------------------------------------------------------------------


@laws(20)
@given(worlds(), st.integers(0, 2**32))
def test_exports_hold_to_the_contract_and_deltas_replay(world: World, seed: int) -> None:
    contract = load_contract()
    randomness = random.Random(seed)
    held: list[Any] = [None]

    def take(system: SystemManager, *, complete: bool) -> None:
        export = system.system_info(complete=complete, consumer="chain", debug=randomness.random() < 0.1)
        assert contract.problems(export) == []
        held[0] = contract.apply(held[0], export)
        whole = system.system_info(complete=True, consumer="judge")
        assert contract.problems(whole) == []
        assert contract.differences(held[0], whole) == []

    with world.system() as system:
        system.register_consumer("chain")
        system.register_consumer("judge")

        def stepped(_: int) -> None:
            chance = randomness.random()
            if chance < 0.03:
                take(system, complete=chance < 0.004)
            elif chance < 0.05:
                system.export("chain")  # made and never acknowledged: the next one carries the same rows

        system.hooks.stepped.append(stepped)
        system.hooks.activated.append(lambda: take(system, complete=False) if randomness.random() < 0.3 else None)
        system.hooks.ended.append(lambda: take(system, complete=False) if randomness.random() < 0.3 else None)
        system.run()
        take(system, complete=False)
