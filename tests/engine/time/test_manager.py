from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mismartera.engine.time import clock
from mismartera.engine.time.time_manager import TimeManager
from mismartera.schemas.config import SessionConfig
from mismartera.schemas.errors import CalendarError, StateError

D = dt.date
MINUTE = 60_000_000


def utc(text: str) -> int:
    """The instant of a time in UTC, by way of a timestamp in seconds."""
    return round(dt.datetime.fromisoformat(f"{text}+00:00").timestamp()) * 1_000_000


def config(start: str = "2025-07-01", end: str = "2025-07-03", **fields: Any) -> SessionConfig:
    raw: dict[str, Any] = {
        "session_name": "Test",
        "backtest_config": {"start_date": start, "end_date": end},
        "session_data_config": {"symbols": ["RIVN"]},
    }
    return SessionConfig.model_validate(raw | fields)


@pytest.fixture
def time() -> TimeManager:
    return TimeManager(config())


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> TimeManager:
    """A live clock that stands at 10:00 in New York."""
    monkeypatch.setattr(clock, "wall_us", lambda: utc("2025-07-02T14:00:00") + 250_000)
    return TimeManager(config(mode="live"))


def test_a_backtest_starts_at_local_midnight_of_its_first_day(time: TimeManager) -> None:
    assert time.mode == "backtest"
    assert time.now_us == utc("2025-07-01T04:00:00")
    assert time.get_current_time() == dt.datetime(2025, 7, 1, tzinfo=ZoneInfo("America/New_York"))
    assert time.get_current_time().isoformat() == "2025-07-01T00:00:00-04:00"
    assert time.get_market_timezone() == ZoneInfo("America/New_York")
    assert (time.backtest_start_date, time.backtest_end_date) == (D(2025, 7, 1), D(2025, 7, 3))


def test_the_clock_goes_forward_only(time: TimeManager) -> None:
    time.advance_to(utc("2025-07-02T15:22:00"))
    time.advance_to(utc("2025-07-02T15:22:00"))
    assert time.get_current_time().isoformat() == "2025-07-02T11:22:00-04:00"
    with pytest.raises(StateError, match="2025-07-02T11:22:00-04:00 and cannot go back to 2025-07-02T11:21:00-04:00"):
        time.advance_to(utc("2025-07-02T15:21:00"))
    assert time.now_us == utc("2025-07-02T15:22:00")


def test_the_wall_clock_is_apart_from_the_engine_clock(time: TimeManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall_us", lambda: 1_234_567)
    assert time.wall_us() == 1_234_567
    assert time.now_us == utc("2025-07-01T04:00:00")


def test_live_mode_runs_on_the_wall_clock(live: TimeManager, monkeypatch: pytest.MonkeyPatch) -> None:
    assert live.now_us == live.wall_us() == utc("2025-07-02T14:00:00") + 250_000
    assert live.get_current_time().isoformat() == "2025-07-02T10:00:00.250000-04:00"
    monkeypatch.setattr(clock, "wall_us", lambda: utc("2025-07-03T14:00:00"))
    assert live.now_us == utc("2025-07-03T14:00:00")
    session = live.get_session()
    assert session is not None
    assert session.date == D(2025, 7, 3)


def test_live_mode_has_no_window_and_cannot_be_advanced(live: TimeManager) -> None:
    assert (live.backtest_start_date, live.backtest_end_date) == (None, None)
    with pytest.raises(StateError, match="wall clock"):
        live.advance_to(utc("2025-07-03T14:00:00"))
    with pytest.raises(StateError, match="no backtest window"):
        live.window_sessions()


def test_sessions_by_date_and_by_the_clock(time: TimeManager) -> None:
    assert time.get_session(D(2025, 7, 4)) is None
    early = time.get_session(D(2025, 7, 3))
    assert early is not None
    assert early.close_us == utc("2025-07-03T17:00:00")
    # 03:59 UTC of the 2nd is still the 1st in New York.
    time.advance_to(utc("2025-07-02T03:59:00"))
    current = time.get_session()
    assert current is not None
    assert current.date == D(2025, 7, 1)


def test_the_window_lists_its_sessions() -> None:
    time = TimeManager(config("2025-07-01", "2025-07-08"))
    assert [session.date.day for session in time.window_sessions()] == [1, 2, 3, 7, 8]


def test_a_window_of_holidays_only_is_refused() -> None:
    time = TimeManager(config("2025-07-04", "2025-07-06"))
    with pytest.raises(CalendarError) as raised:
        time.window_sessions()
    assert str(raised.value) == (
        "window 2025-07-04 to 2025-07-06 holds no session of US_EQUITY (XNYS): "
        "previous session is 2025-07-03, next session is 2025-07-07"
    )
    assert raised.value.hint is not None


def test_a_window_outside_the_calendar_is_refused() -> None:
    with pytest.raises(CalendarError, match="2049-12-31"):
        TimeManager(config("2060-01-01", "2060-02-01", exchange_group="HK_EQUITY"))
    time = TimeManager(config("2049-12-01", "2050-01-31", exchange_group="HK_EQUITY"))
    with pytest.raises(CalendarError, match="2050-01-31 is outside"):
        time.window_sessions()


def test_the_longest_history_is_in_reach_from_the_start() -> None:
    raw = config().model_dump(mode="json")["session_data_config"]
    raw["historical"] = {"data": [{"interval": "1d", "trailing_days": 5000}, {"interval": "1m", "trailing_days": 5}]}
    time = TimeManager(config(session_data_config=raw))
    held = time.calendar._schedule
    assert len(time.calendar.trailing_sessions(D(2025, 7, 1), 5000)) == 5000
    assert time.calendar._schedule is held


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (utc("2025-07-02T15:22:00"), "2025-07-02T11:22:00-04:00"),
        (utc("2025-01-02T15:22:00"), "2025-01-02T10:22:00-05:00"),
        (utc("2025-07-02T15:22:00") + 1, "2025-07-02T11:22:00.000001-04:00"),
        (-1, "1969-12-31T18:59:59.999999-05:00"),
    ],
)
def test_isoformat(time: TimeManager, us: int, text: str) -> None:
    assert time.isoformat(us) == text
    assert time.to_local(us).isoformat() == text
    assert time.parse_local(text) == us


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-07-02T11:30", "2025-07-02T15:30:00"),
        ("2025-07-02 11:30:15", "2025-07-02T15:30:15"),
        (" 2025-01-02T11:30 ", "2025-01-02T16:30:00"),
        ("2025-07-02T11:30:00Z", "2025-07-02T11:30:00"),
        ("2025-07-02T11:30+08:00", "2025-07-02T03:30:00"),
        ("2025-07-02T11:30-0400", "2025-07-02T15:30:00"),
        ("2025-03-09T01:59", "2025-03-09T06:59:00"),
        ("2025-03-09T03:00", "2025-03-09T07:00:00"),
        ("2025-03-09T02:30-05:00", "2025-03-09T07:30:00"),
        ("2025-11-02T01:30", "2025-11-02T05:30:00"),
        ("2025-11-02T01:30-05:00", "2025-11-02T06:30:00"),
    ],
)
def test_parse_local(time: TimeManager, text: str, expected: str) -> None:
    assert time.parse_local(text) == utc(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "noon",
        "2025-07-02",
        "11:30",
        "2025-7-2T11:30",
        "2025-02-30T11:30",
        "2025-07-02T25:00",
        "2025-W27-3T11:30",
        "2025-07-02T11:30 EST",
        "2025-07-02T11:30+25:00",
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:59",
        "٢٠٢٥-07-02T11:30",
    ],
)
def test_parse_local_refuses_what_names_no_time(time: TimeManager, text: str) -> None:
    with pytest.raises(CalendarError, match="expected a time at the exchange") as raised:
        time.parse_local(text)
    assert repr(text) in str(raised.value)


def test_parse_local_refuses_an_hour_the_clocks_skip(time: TimeManager) -> None:
    with pytest.raises(CalendarError, match="does not exist in America/New_York") as raised:
        time.parse_local("2025-03-09T02:30")
    assert "2025-03-09T03:30:00-04:00" in str(raised.value)


@pytest.mark.parametrize(
    ("local", "phase"),
    [
        ("2025-07-01T23:59", "closed"),
        ("2025-07-02T00:00", "pre_market"),
        ("2025-07-02T09:29", "pre_market"),
        ("2025-07-02T09:30", "open"),
        ("2025-07-02T11:59", "open"),
        ("2025-07-02T12:00", "break"),
        ("2025-07-02T12:59", "break"),
        ("2025-07-02T13:00", "open"),
        ("2025-07-02T15:59", "open"),
        ("2025-07-02T16:00", "after_hours"),
        ("2025-07-02T23:59", "after_hours"),
        ("2025-07-03T00:00", "closed"),
    ],
)
def test_the_phases_of_a_day_in_hong_kong(local: str, phase: str) -> None:
    time = TimeManager(config(exchange_group="HK_EQUITY"))
    session = time.get_session(D(2025, 7, 2))
    assert time.phase(time.parse_local(local), session) == phase
    assert time.phase(time.parse_local(local), None) == "closed"


def test_to_json_on_an_early_close(time: TimeManager) -> None:
    time.advance_to(utc("2025-07-03T17:00:00"))
    assert time.to_json() == {
        "current_time": "2025-07-03T13:00:00-04:00",
        "current_session": {
            "date": "2025-07-03",
            "open": "2025-07-03T09:30:00-04:00",
            "close": "2025-07-03T13:00:00-04:00",
            "is_early_close": True,
            "timezone": "America/New_York",
            "phase": "after_hours",
        },
    }
    assert time.to_json(complete=False, debug=True) == time.to_json()


def test_to_json_with_a_lunch_break() -> None:
    time = TimeManager(config("2025-07-02", exchange_group="HK_EQUITY"))
    time.advance_to(utc("2025-07-02T04:30:00"))
    session = time.to_json()["current_session"]
    assert session["phase"] == "break"
    assert session["breaks"] == [["2025-07-02T12:00:00+08:00", "2025-07-02T13:00:00+08:00"]]


def test_to_json_on_a_holiday_has_no_session() -> None:
    time = TimeManager(config("2025-07-03", "2025-07-08"))
    time.advance_to(utc("2025-07-04T15:00:00"))
    assert time.to_json() == {"current_time": "2025-07-04T11:00:00-04:00", "current_session": None}


def test_to_json_describes_the_instant_of_a_snapshot(time: TimeManager) -> None:
    time.advance_to(utc("2025-07-03T15:00:00"))
    section = time.to_json(at_us=utc("2025-07-02T13:30:00"))
    assert section["current_time"] == "2025-07-02T09:30:00-04:00"
    assert section["current_session"]["date"] == "2025-07-02"
    assert section["current_session"]["phase"] == "open"


def test_durations_come_from_the_steady_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(clock, "_steady_s", lambda: now[0])
    time = TimeManager(config())
    now[0] = 103.5
    stopwatch = time.stopwatch()
    now[0] = 104.0
    assert stopwatch.elapsed_s == 0.5
    assert time.uptime_s == 4.0
