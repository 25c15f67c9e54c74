from __future__ import annotations

import csv
import datetime as dt
import itertools
import subprocess
import sys
import threading
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from mismartera.engine.time import session_columns as schedule
from mismartera.engine.time.calendar import ExchangeCalendar, TradingSession
from mismartera.schemas.errors import CalendarError
from mismartera.schemas.exchanges import EXCHANGE_GROUPS, ExchangeGroup

CALENDARS = Path(__file__).resolve().parents[3] / ".." / "shared" / "samples" / "calendars"
D = dt.date
JUNE, JULY = D(2025, 6, 1), D(2025, 7, 31)


def at(date: str, time: str, zone: str) -> int:
    """The instant of a local time, by way of a timestamp in seconds."""
    return round(dt.datetime.fromisoformat(f"{date}T{time}").replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000


def new_york(date: str, time: str) -> int:
    return at(date, time, "America/New_York")


def hong_kong(date: str, time: str) -> int:
    return at(date, time, "Asia/Hong_Kong")


def calendar_of(group: str, start: D = JUNE, end: D = JULY) -> ExchangeCalendar:
    return ExchangeCalendar(EXCHANGE_GROUPS[group], start, end)


@pytest.fixture
def us() -> ExchangeCalendar:
    return calendar_of("US_EQUITY")


@pytest.fixture
def hk() -> ExchangeCalendar:
    return calendar_of("HK_EQUITY")


def answers(name: str) -> dict[str, list[object]]:
    """The columns of a file of answers: dates, and instants in UTC microseconds or None."""
    path = CALENDARS / name
    if not path.exists():
        pytest.skip(f"no sample {path}")

    def us_of(text: str) -> int | None:
        return round(dt.datetime.fromisoformat(text).timestamp()) * 1_000_000 if text else None

    with path.open() as file:
        rows = list(csv.DictReader(file))
    columns: dict[str, list[object]] = {"date": [D.fromisoformat(row[""][:10]) for row in rows]}
    for column in ("open", "close", "break_start", "break_end"):
        columns[column] = [us_of(row[column]) for row in rows]
    return columns


def columns_of(sessions: list[TradingSession]) -> dict[str, list[object]]:
    breaks = [session.breaks()[0] if session.breaks() else (None, None) for session in sessions]
    return {
        "date": [session.date for session in sessions],
        "open": [session.open_us for session in sessions],
        "close": [session.close_us for session in sessions],
        "break_start": [start for start, _ in breaks],
        "break_end": [stop for _, stop in breaks],
    }


# Every row of both files agrees with exchange_calendars 4.13: no day is excused.
@pytest.mark.samples
@pytest.mark.parametrize(("group", "name", "rows"), [("US_EQUITY", "xnys.csv", 8324), ("HK_EQUITY", "xhkg.csv", 8803)])
def test_every_session_of_the_samples(group: str, name: str, rows: int) -> None:
    expected = answers(name)
    first, last = expected["date"][0], expected["date"][-1]
    assert isinstance(first, D)
    assert isinstance(last, D)
    found = columns_of(calendar_of(group, first, last).sessions(first, last))
    assert len(expected["date"]) == rows
    for column, values in expected.items():
        assert found[column] == values, column


@pytest.mark.samples
@pytest.mark.parametrize(("group", "name", "early"), [("US_EQUITY", "xnys.csv", 69), ("HK_EQUITY", "xhkg.csv", 59)])
def test_early_closes_are_the_sessions_that_close_before_four(group: str, name: str, early: int) -> None:
    expected = answers(name)
    calendar = calendar_of(group)
    before_four = [
        date
        for date, close in zip(expected["date"], expected["close"], strict=True)
        if dt.datetime.fromtimestamp(close / 1_000_000, calendar.timezone).time() < dt.time(16)  # type: ignore[operator]
    ]
    sessions = calendar.sessions(expected["date"][0], expected["date"][-1])  # type: ignore[arg-type]
    assert [session.date for session in sessions if session.is_early_close] == before_four
    assert len(before_four) == early


def test_a_regular_session_with_extended_hours(us: ExchangeCalendar) -> None:
    day = "2025-07-02"
    session = us.session(D(2025, 7, 2))
    assert session == TradingSession(
        date=D(2025, 7, 2),
        segments=((new_york(day, "09:30"), new_york(day, "16:00")),),
        extended=((new_york(day, "04:00"), new_york(day, "09:30")), (new_york(day, "16:00"), new_york(day, "20:00"))),
        is_early_close=False,
        timezone="America/New_York",
    )
    assert (session.open_us, session.close_us) == (new_york(day, "09:30"), new_york(day, "16:00"))
    assert (session.day_start_us, session.day_stop_us) == (new_york(day, "04:00"), new_york(day, "20:00"))
    assert session.breaks() == ()


def test_an_early_close_begins_and_ends_after_hours_early(us: ExchangeCalendar) -> None:
    for day in ("2025-07-03", "2024-11-29", "2024-12-24"):
        session = us.session(D.fromisoformat(day))
        assert session.is_early_close
        assert session.close_us == new_york(day, "13:00")
        assert session.extended[0] == (new_york(day, "04:00"), new_york(day, "09:30"))
        assert session.extended[1] == (new_york(day, "13:00"), new_york(day, "17:00"))
        assert session.day_stop_us == new_york(day, "17:00")


def test_after_hours_end_as_ever_where_no_earlier_end_is_told() -> None:
    group = ExchangeGroup("SAME", "XNYS", (dt.time(4), dt.time(20)))
    session = ExchangeCalendar(group, D(2025, 7, 1), D(2025, 7, 3)).session(D(2025, 7, 3))
    assert session.extended[1] == (new_york("2025-07-03", "13:00"), new_york("2025-07-03", "20:00"))


def test_a_lunch_break_makes_two_segments(hk: ExchangeCalendar) -> None:
    session = hk.session(D(2025, 7, 2))
    morning = (hong_kong("2025-07-02", "09:30"), hong_kong("2025-07-02", "12:00"))
    afternoon = (hong_kong("2025-07-02", "13:00"), hong_kong("2025-07-02", "16:00"))
    assert session.segments == (morning, afternoon)
    assert session.breaks() == ((morning[1], afternoon[0]),)
    assert session.extended == ()
    assert (session.day_start_us, session.day_stop_us) == (morning[0], afternoon[1])


def test_an_early_close_at_noon_has_no_break(hk: ExchangeCalendar) -> None:
    session = hk.session(D(2024, 12, 24))
    assert session.segments == ((hong_kong("2024-12-24", "09:30"), hong_kong("2024-12-24", "12:00")),)
    assert session.is_early_close
    assert session.breaks() == ()


def test_extended_hours_never_overlap_regular_ones() -> None:
    # Hours that begin after the open and end before the close leave nothing outside it.
    group = ExchangeGroup("NARROW", "XNYS", (dt.time(10), dt.time(15)))
    calendar = ExchangeCalendar(group, D(2025, 7, 1), D(2025, 7, 3))
    assert calendar.session(D(2025, 7, 2)).extended == ()
    early = calendar.session(D(2025, 7, 3))
    assert early.extended == ((new_york("2025-07-03", "13:00"), new_york("2025-07-03", "15:00")),)


@pytest.mark.parametrize(
    ("date", "open_utc"),
    [("2025-03-07", 14), ("2025-03-10", 13), ("2025-10-31", 13), ("2025-11-03", 14)],
)
def test_the_open_follows_daylight_saving(us: ExchangeCalendar, date: str, open_utc: int) -> None:
    session = us.session(D.fromisoformat(date))
    opens = dt.datetime.fromtimestamp(session.open_us / 1_000_000, dt.UTC)
    starts = dt.datetime.fromtimestamp(session.day_start_us / 1_000_000, dt.UTC)
    assert (opens.hour, opens.minute) == (open_utc, 30)
    assert (starts.hour, starts.minute) == (open_utc - 5, 0)


def test_a_session_may_open_on_the_day_before_in_utc() -> None:
    session = calendar_of("AU_EQUITY").session(D(2025, 1, 15))
    assert dt.datetime.fromtimestamp(session.open_us / 1_000_000, dt.UTC).date() == D(2025, 1, 14)
    assert session.date == D(2025, 1, 15)


def test_a_date_without_session_names_those_around(us: ExchangeCalendar) -> None:
    assert not us.is_session(D(2025, 7, 4))
    assert us.is_session(D(2025, 7, 3))
    with pytest.raises(CalendarError, match=r"2025-07-04 \(Friday\) is no session of US_EQUITY \(XNYS\)") as raised:
        us.session(D(2025, 7, 4))
    assert "previous session is 2025-07-03, next session is 2025-07-07" in str(raised.value)


def test_sessions_include_both_ends(us: ExchangeCalendar) -> None:
    found = us.sessions(D(2025, 7, 2), D(2025, 7, 8))
    assert [session.date.day for session in found] == [2, 3, 7, 8]
    assert us.sessions(D(2025, 7, 4), D(2025, 7, 6)) == []
    assert us.sessions(D(2025, 7, 8), D(2025, 7, 2)) == []


def test_next_and_previous_are_strict(us: ExchangeCalendar) -> None:
    assert us.next_session(D(2025, 7, 2)).date == D(2025, 7, 3)
    assert us.next_session(D(2025, 7, 3)).date == D(2025, 7, 7)
    assert us.next_session(D(2025, 7, 5)).date == D(2025, 7, 7)
    assert us.previous_session(D(2025, 7, 7)).date == D(2025, 7, 3)
    assert us.previous_session(D(2025, 7, 6)).date == D(2025, 7, 3)
    assert us.next_session(D(2025, 12, 31)).date == D(2026, 1, 2)
    assert us.previous_session(D(2025, 1, 1)).date == D(2024, 12, 31)


def test_trailing_sessions(us: ExchangeCalendar) -> None:
    dates = [session.date for session in us.trailing_sessions(D(2025, 7, 7), 3)]
    assert dates == [D(2025, 7, 1), D(2025, 7, 2), D(2025, 7, 3)]
    assert us.trailing_sessions(D(2025, 7, 5), 3) == us.trailing_sessions(D(2025, 7, 7), 3)
    assert us.trailing_sessions(D(2025, 7, 7), 0) == []


def test_trailing_sessions_reach_beyond_the_range(us: ExchangeCalendar) -> None:
    trailing = us.trailing_sessions(D(2025, 7, 2), 5000)
    assert len(trailing) == 5000
    assert trailing[-1].date == D(2025, 7, 1)
    assert trailing == us.sessions(trailing[0].date, D(2025, 7, 1))


def test_the_range_grows_when_asked_for_more(us: ExchangeCalendar) -> None:
    # All of New York was closed from 11 to 14 September 2001 and opened on the 17th.
    assert us.session(D(2001, 9, 10)).close_us == new_york("2001-09-10", "16:00")
    assert us.next_session(D(2001, 9, 10)).date == D(2001, 9, 17)
    assert us.session(D(2025, 7, 2)).open_us == new_york("2025-07-02", "09:30")


@pytest.mark.parametrize(
    ("group", "inside", "outside", "bound"),
    [
        ("JP_EQUITY", D(1997, 1, 6), D(1996, 12, 30), "1997-01-01"),
        ("HK_EQUITY", D(2049, 12, 30), D(2050, 1, 3), "2049-12-31"),
        ("US_EQUITY", D(2200, 1, 2), D(9999, 12, 31), "2261-12-31"),
        ("US_EQUITY", D(1900, 1, 2), D(1, 1, 1), "1678-01-01"),
    ],
)
def test_the_range_grows_no_further_than_the_calendar(group: str, inside: D, outside: D, bound: str) -> None:
    calendar = calendar_of(group)
    assert calendar.session(inside).date == inside
    with pytest.raises(CalendarError, match=bound):
        calendar.is_session(outside)
    with pytest.raises(CalendarError, match=bound):
        ExchangeCalendar(EXCHANGE_GROUPS[group], outside, outside)


def test_the_last_and_the_first_session_known(hk: ExchangeCalendar) -> None:
    assert hk.is_session(D(2049, 12, 31))
    with pytest.raises(CalendarError, match="2050-01-01 is outside the calendar of HK_EQUITY"):
        hk.next_session(D(2049, 12, 31))
    tokyo = calendar_of("JP_EQUITY", D(1997, 1, 1), D(1997, 3, 1))
    with pytest.raises(CalendarError, match="no previous session is known, next session is 1997-01-06"):
        tokyo.session(D(1997, 1, 1))
    with pytest.raises(CalendarError, match=r"1 sessions .* knows 0"):
        tokyo.previous_session(D(1997, 1, 6))


def test_more_trailing_sessions_than_are_known() -> None:
    calendar = calendar_of("JP_EQUITY", D(1997, 2, 1), D(1997, 3, 1))
    with pytest.raises(CalendarError, match=r"50 sessions of JP_EQUITY .* before 1997-02-03 .* knows 19"):
        calendar.trailing_sessions(D(1997, 2, 3), 50)


def test_a_second_construction_builds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    calendar_of("US_EQUITY", D(2025, 6, 1), D(2025, 7, 31))

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} was built again")

    monkeypatch.setattr(schedule, "_calendar_class", refuse)
    again = calendar_of("US_EQUITY", D(2025, 4, 7), D(2025, 8, 2))
    assert again.is_session(D(2025, 7, 2))


@pytest.mark.parametrize("group", sorted(EXCHANGE_GROUPS))
def test_every_group_has_ordered_sessions_on_their_own_local_date(group: str) -> None:
    calendar = calendar_of(group, D(2005, 1, 1), D(2025, 12, 31))
    sessions = calendar.sessions(D(2005, 1, 1), D(2025, 12, 31))
    assert len(sessions) > 5000
    for session in sessions:
        edges = [edge for segment in session.segments for edge in segment]
        spans = sorted(session.segments + session.extended)
        assert edges == sorted(set(edges))
        assert all(spans[i][1] <= spans[i + 1][0] for i in range(len(spans) - 1))
        assert all(edge % 60_000_000 == 0 for edge in edges)
        local = dt.datetime.fromtimestamp(session.day_start_us / 1_000_000, calendar.timezone)
        assert local.date() == session.date
    assert all(before.day_stop_us < after.day_start_us for before, after in itertools.pairwise(sessions))


def test_threads_may_grow_the_range_at_once(us: ExchangeCalendar) -> None:
    wrong: list[str] = []

    def ask(year: int) -> None:
        found = us.sessions(D(year, 1, 1), D(year, 12, 31))
        if not 245 <= len(found) <= 254 or found[0].date.year != year:
            wrong.append(f"{year}: {len(found)}")

    threads = [threading.Thread(target=ask, args=(year,)) for year in (1991, 1994, 2030, 2033)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_importing_the_package_imports_no_pandas() -> None:
    code = (
        "import sys, mismartera.engine.time.time_manager; "
        "print([name for name in ('pandas', 'exchange_calendars') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
