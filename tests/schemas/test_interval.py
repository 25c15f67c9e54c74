"""`Interval`: what it parses, how it is written, how it orders."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mismartera.schemas.errors import IntervalError, MismarteraError
from mismartera.schemas.interval import Interval

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
TEXTS = st.builds(lambda number, unit: f"{number}{unit}", st.integers(1, 9999), st.sampled_from("smhd"))


@pytest.mark.parametrize(
    ("value", "text", "us"),
    [
        (1, "1m", 60_000_000),
        (5, "5m", 300_000_000),
        (60, "1h", 3_600_000_000),
        ("1s", "1s", 1_000_000),
        ("30s", "30s", 30_000_000),
        ("60s", "1m", 60_000_000),
        ("1m", "1m", 60_000_000),
        ("5m", "5m", 300_000_000),
        ("15", "15m", 900_000_000),
        ("60m", "1h", 3_600_000_000),
        ("90m", "90m", 5_400_000_000),
        ("1h", "1h", 3_600_000_000),
        ("24h", "1d", 86_400_000_000),
        ("1d", "1d", 86_400_000_000),
        (" 5m ", "5m", 300_000_000),
        (Interval("5m"), "5m", 300_000_000),
    ],
)
def test_parses_and_normalises(value, text, us):
    interval = Interval(value)
    assert (interval.text, interval.us, str(interval)) == (text, us, text)
    assert repr(interval) == f"Interval({text!r})"


@pytest.mark.parametrize(
    "value", [0, -5, 5.0, True, False, None, "", "m", "0m", "-1m", "1.5m", "5x", "05m", "5mm", "m5", [5], b"5m", "１m"]
)
def test_what_is_none_says_what_would_be(value):
    with pytest.raises(IntervalError, match="expected a positive whole number of minutes such as 5") as caught:
        Interval(value)
    assert caught.value.value is value
    assert isinstance(caught.value, MismarteraError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("texts", "ordered"),
    [
        (["1d", "5m", "1s", "1h", "1m"], ["1s", "1m", "5m", "1h", "1d"]),
        (["15m", "900s", "2h", "90m"], ["15m", "15m", "90m", "2h"]),
    ],
)
def test_orders_by_length(texts, ordered):
    assert [interval.text for interval in sorted(map(Interval, texts))] == ordered


@pytest.mark.parametrize(
    ("fine", "coarse", "divides"),
    [
        ("1m", "5m", True),
        ("5m", "1m", False),
        ("2m", "5m", False),
        ("5m", "5m", True),
        ("1s", 1, True),
        ("1m", "1d", True),
        ("30s", "15m", True),
    ],
)
def test_divides(fine, coarse, divides):
    assert Interval(fine).divides(coarse) is divides


@pytest.mark.parametrize(("text", "daily"), [("1s", False), ("1h", False), ("23h", False), ("24h", True), ("2d", True)])
def test_daily(text, daily):
    assert Interval(text).is_daily is daily


def test_is_immutable_and_copies_as_itself():
    interval = Interval("5m")
    with pytest.raises(AttributeError, match="immutable"):
        interval.us = 1
    assert copy.deepcopy(interval) == interval == pickle.loads(pickle.dumps(interval))
    assert interval != "5m"


@given(TEXTS)
def test_a_text_means_its_seconds(text):
    assert Interval(text).us == int(text[:-1]) * SECONDS[text[-1]] * 1_000_000


@given(TEXTS)
def test_its_text_reads_back_as_itself(text):
    interval = Interval(text)
    assert Interval(interval.text) == interval
    assert Interval(interval.text).text == interval.text


@given(st.integers(1, 99_999))
def test_a_number_is_minutes(minutes):
    assert Interval(minutes) == Interval(f"{minutes}m") == Interval(str(minutes))


@given(TEXTS, TEXTS)
def test_order_is_that_of_lengths(left, right):
    a, b = Interval(left), Interval(right)
    assert (a < b, a == b, a > b) == (a.us < b.us, a.us == b.us, a.us > b.us)
    assert (a <= b, a >= b) == (a.us <= b.us, a.us >= b.us)
    if a == b:
        assert hash(a) == hash(b)
        assert a.text == b.text
