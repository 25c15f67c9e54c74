"""Local times of many instants, against `datetime` one by one."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mismartera.engine.time.zone import to_local_us

ZONES = ["America/New_York", "Asia/Tokyo", "Australia/Sydney", "Australia/Lord_Howe", "Europe/London", "UTC"]
EPOCH = dt.datetime(1970, 1, 1)
MINUTE_US = 60_000_000


def one_by_one(instants, zone):
    moments = (dt.datetime.fromtimestamp(us // 1_000_000, zone).replace(tzinfo=None) for us in instants)
    return [
        (moment - EPOCH) // dt.timedelta(microseconds=1) + us % 1_000_000
        for us, moment in zip(instants, moments, strict=True)
    ]


def to_local(instants, zone):
    return to_local_us(np.array(instants, dtype=np.int64), zone).tolist()


@given(
    st.sampled_from(ZONES).map(ZoneInfo),
    st.lists(
        st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2030, 1, 1)).map(
            lambda moment: (moment - EPOCH) // dt.timedelta(microseconds=1)
        )
    ),
)
def test_equals_datetime_in_any_order(zone, instants):
    assert to_local(instants, zone) == one_by_one(instants, zone)


@pytest.mark.parametrize("name", ZONES)
def test_equals_datetime_at_each_minute_around_the_changes_of_2025(name):
    zone = ZoneInfo(name)
    for day in (dt.datetime(2025, 3, 9), dt.datetime(2025, 4, 5), dt.datetime(2025, 10, 4), dt.datetime(2025, 11, 2)):
        start = int((day - EPOCH).total_seconds()) * 1_000_000
        instants = list(range(start, start + 2 * 1440 * MINUTE_US, MINUTE_US))
        assert to_local(instants, zone) == one_by_one(instants, zone)


def test_one_change_in_a_pair_of_instants():
    """New York, by hand: 06:59 UTC is 01:59 standard time, a minute later it is 03:00."""
    at = [int(dt.datetime(2025, 3, 9, 6, 59, tzinfo=dt.UTC).timestamp()) * 1_000_000]
    at.append(at[0] + MINUTE_US)
    first, second = to_local(at, ZoneInfo("America/New_York"))
    assert second - first == 61 * MINUTE_US
