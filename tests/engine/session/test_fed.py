"""A session that is fed batch by batch: what follows from its rows, and when."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from mismartera.engine.session.session_data import SessionData
from mismartera.engine.time.calendar import TradingSession
from mismartera.schemas.bars import BAR_SCHEMA
from mismartera.schemas.errors import StateError
from tests.golden.small import us

MINUTE = 60_000_000
OPEN = us("2025-07-02T09:30-04:00")
SESSION = TradingSession(
    dt.date(2025, 7, 2), ((OPEN, OPEN + 20 * MINUTE),), (), is_early_close=False, timezone="America/New_York"
)


@pytest.fixture
def data() -> SessionData:
    made = SessionData(["A", "B"], derived_intervals=["5m"], timezone="America/New_York")
    made.begin_session(SESSION, OPEN)
    return made


def bars(*rows: tuple[str, int], volume: int = 10) -> pa.Table:
    """Bars of the given symbols and minutes of the session."""
    columns = [
        [symbol for symbol, _ in rows],
        [OPEN + minute * MINUTE for _, minute in rows],
        *([[1.0 + minute for _, minute in rows]] * 4),
        [volume] * len(rows),
    ]
    return pa.table(dict(zip(BAR_SCHEMA.names, columns, strict=True)), schema=BAR_SCHEMA)


def both(*minutes: int) -> pa.Table:
    return bars(*((symbol, minute) for minute in minutes for symbol in ("A", "B")))


def derived(data: SessionData, symbol: str) -> list[tuple[int, float, int, int, int]]:
    """Minute, close, volume, base bars and revision of each 5m bar as served."""
    rows: list[dict[str, Any]] = data.get_bars(symbol, "5m").to_pylist()
    minute = [round((row["timestamp"].timestamp() * 1e6 - OPEN) / MINUTE) for row in rows]
    return [
        (at, row["close"], row["volume"], row["n_base"], row["revision"]) for at, row in zip(minute, rows, strict=True)
    ]


def gaps(data: SessionData, symbol: str, interval: str = "1m") -> list[tuple[str, int]]:
    return [(f"{gap.start_time:%H:%M}", gap.bar_count) for gap in data.get_gaps(symbol, interval)]


def test_bars_are_derived_when_the_clock_reaches_their_end(data: SessionData) -> None:
    data.append_bars("1m", both(0, 1, 2, 3))
    assert derived(data, "A") == []
    data.append_bars("1m", both(4))
    assert derived(data, "A") == derived(data, "B") == [(0, 5.0, 50, 5, 0)]
    assert data.get_quality("A", "1m") == data.get_quality("A", "5m") == 100.0
    assert data.get_symbol_data("A").session_volume == 50


def test_symbols_of_one_instant_may_come_one_after_another(data: SessionData) -> None:
    for minute in range(5):
        for symbol in ("A", "B"):
            data.append_bars("1m", bars((symbol, minute)))
    assert derived(data, "B") == [(0, 5.0, 50, 5, 0)]
    assert [kind.log.rows for kind in data.snapshot.kinds.values()] == [10, 2]
    assert (gaps(data, "B"), data.snapshot.kinds["1m"].gaps.visible.tolist()) == ([], [0, 0])  # type: ignore[union-attr]


def test_whoever_looks_within_an_instant_sees_what_was_there_and_then_its_correction(data: SessionData) -> None:
    data.append_bars("1m", both(0, 1, 2, 3))
    data.append_bars("1m", bars(("A", 4)))
    assert (derived(data, "B"), gaps(data, "B")) == ([(0, 4.0, 40, 4, 0)], [("09:34", 1)])
    data.append_bars("1m", bars(("B", 4)))
    assert (derived(data, "B"), gaps(data, "B")) == ([(0, 5.0, 50, 5, 1)], [])
    assert data.snapshot.kinds["5m"].log.visible.tolist() == [1, 2]


def test_a_bucket_with_a_missing_bar_closes_with_the_others(data: SessionData) -> None:
    data.append_bars("1m", both(0, 1, 3))
    data.append_bars("1m", bars(("A", 5)))
    assert derived(data, "A") == derived(data, "B") == [(0, 4.0, 30, 3, 0)]
    assert gaps(data, "A") == [("09:32", 1), ("09:34", 1)]
    assert gaps(data, "B") == [("09:32", 1), ("09:34", 2)]
    data.publish(OPEN + 10 * MINUTE)
    assert gaps(data, "B") == [("09:32", 1), ("09:34", 6)]
    assert gaps(data, "B", "5m") == [("09:35", 1)]
    assert (data.get_quality("A", "1m"), data.get_quality("B", "5m")) == (40.0, 50.0)


def test_a_late_bar_mends_what_it_touches_and_nothing_else(data: SessionData) -> None:
    data.append_bars("1m", both(0, 1, 3, 4))
    data.append_bars("1m", both(5, 6, 7, 8, 9))
    assert (derived(data, "A")[0], gaps(data, "A")) == ((0, 5.0, 40, 4, 0), [("09:32", 1)])
    assert data.append_bars("1m", bars(("A", 2), volume=1)).late == 1
    assert derived(data, "A") == [(0, 5.0, 41, 5, 1), (5, 10.0, 50, 5, 0)]
    assert derived(data, "B") == [(0, 5.0, 40, 4, 0), (5, 10.0, 50, 5, 0)]
    assert (gaps(data, "A"), gaps(data, "B")) == ([], [("09:32", 1)])
    assert data.get_symbol_data("A").session_volume == 91


def test_a_filled_bar_splits_its_range(data: SessionData) -> None:
    data.append_bars("1m", both(0, 8))
    assert gaps(data, "A") == [("09:31", 7)]
    data.append_bars("1m", bars(("A", 4)))
    assert gaps(data, "A") == [("09:31", 3), ("09:35", 3)]
    kind = data.snapshot.kinds["1m"]
    assert (kind.gap_count.tolist(), kind.missing.tolist()) == ([2, 1], [6, 7])


def test_the_clock_going_back_opens_no_bucket_again(data: SessionData) -> None:
    data.append_bars("1m", both(0, 1, 3, 4))
    before = derived(data, "A"), gaps(data, "A")
    data.publish(OPEN + 2 * MINUTE)
    data.publish(OPEN + 5 * MINUTE)
    assert (derived(data, "A"), gaps(data, "A")) == before
    assert data.snapshot.kinds["1m"].gaps.visible.tolist() == [1, 1]  # type: ignore[union-attr]


def test_a_derived_interval_is_derived_or_given_but_not_both(data: SessionData) -> None:
    data.append_bars("1m", both(0, 1, 2, 3, 4))
    assert len(derived(data, "A")) == 1
    with pytest.raises(StateError, match="5m bars are derived from 1m bars in this session: expected 1m bars"):
        data.append_bars("5m", bars(("A", 5)))
    given = SessionData(["A"], derived_intervals=["5m"], timezone="America/New_York")
    given.begin_session(SESSION, OPEN)
    assert given.append_bars("5m", bars(("A", 0))).accepted == 1
    given.append_bars("1m", bars(*(("A", minute) for minute in range(10))))
    assert derived(given, "A") == [(0, 1.0, 10, 1, 0)]
    assert gaps(given, "A", "5m") == [("09:35", 1)]


def test_a_symbol_that_joins_misses_what_was_due(data: SessionData) -> None:
    data.append_bars("1m", both(0, 1, 2, 3, 4))
    data.join("C")
    assert (gaps(data, "C"), gaps(data, "C", "5m"), data.get_quality("C", "1m")) == (
        [("09:30", 5)],
        [("09:30", 1)],
        0.0,
    )
    data.append_bars("1m", bars(("A", 5), ("B", 5), ("C", 5)))
    assert gaps(data, "C") == [("09:30", 5)]
    assert gaps(data, "A") == []
    assert data.get_symbol_data("C").session_high == 6.0


def test_without_a_search_for_gaps_there_is_no_quality() -> None:
    data = SessionData(["A"], derived_intervals=["5m"], timezone="America/New_York", finds_gaps=False)
    data.begin_session(SESSION, OPEN)
    data.append_bars("1m", bars(("A", 0), ("A", 4)))
    assert (data.get_quality("A", "1m"), data.get_gaps("A", "1m"), data.snapshot.kinds["1m"].gaps) == (None, [], None)
    assert derived(data, "A") == [(0, 5.0, 20, 2, 0)]
