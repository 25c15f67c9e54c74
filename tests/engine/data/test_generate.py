"""Synthetic sessions: the same for the same seed however they are made, consistent, on the calendar, with gaps."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.generate import generate
from mismartera.engine.data.verify import verify
from mismartera.schemas.errors import CalendarError, ImportDataError, UnknownNameError

EVER = (0, 4 * 10**15)
START, END = dt.date(2025, 7, 1), dt.date(2025, 7, 4)


def frame(catalog: Catalog, kind: str = "1m") -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(catalog.read(kind, *EVER))).with_columns(pl.col("symbol").cast(pl.String))


def test_the_same_seed_makes_the_same_rows_in_any_pieces(tmp_path):
    whole, pieces, other = (Catalog(tmp_path / name) for name in ("whole", "pieces", "other"))
    generate(whole, 5, START, END, daily=True, ticks=True, quotes=True)
    for day in (3, 1, 2):
        date = dt.date(2025, 7, day)
        generate(pieces, 5, date, date, daily=True, ticks=True, quotes=True)
    generate(other, 5, START, END, seed=1)
    for kind in ("1m", "1d", "ticks", "quotes"):
        assert frame(whole, kind).equals(frame(pieces, kind))
    assert not frame(whole).equals(frame(other))


def test_more_symbols_leave_the_others_as_they_are(tmp_path):
    few, many = Catalog(tmp_path / "few"), Catalog(tmp_path / "many")
    generate(few, 2, START, START)
    generate(many, 9, START, START)
    assert frame(few).equals(frame(many).filter(pl.col("symbol") <= "SYM0002"))


def test_bars_are_consistent_and_busier_at_the_ends(tmp_path):
    catalog = Catalog(tmp_path)
    summary = generate(catalog, 50, START, END, daily=True)
    assert verify(catalog).problems == ()
    bars = frame(catalog)
    assert (summary.sessions, summary.rows["1m"], summary.missing) == (3, len(bars), 50 * (390 + 390 + 210) - len(bars))
    assert 0.005 < summary.missing / (50 * 990) < 0.02
    for name in ("open", "high", "low", "close"):
        assert bars[name].to_list() == [round(price, 2) for price in bars[name].to_list()]
        assert (bars[name] > 0).all()
    assert (bars["volume"] >= 1).all()
    early = bars.filter(pl.col("timestamp").dt.date() == dt.date(2025, 7, 3))["timestamp"]
    assert early.max() <= dt.datetime(2025, 7, 3, 16, 59, tzinfo=dt.UTC)
    clock = pl.col("timestamp").dt.strftime("%H:%M")
    first = bars.filter(pl.col("timestamp").dt.date() == START)
    mean = first.group_by(clock.alias("clock")).agg(pl.col("volume").mean()).sort("clock")["volume"]
    assert mean[:30].mean() > 2 * mean[180:210].mean() < mean[-30:].mean()


def test_daily_bars_are_made_of_the_minutes_that_are_there(tmp_path):
    catalog = Catalog(tmp_path)
    generate(catalog, 4, START, END, daily=True, missing=0.3, extended_hours=True)
    open_ = dt.time(13, 30)
    minutes = frame(catalog).sort("symbol", "timestamp")
    minutes = minutes.filter(pl.col("timestamp").dt.time() >= open_)
    minutes = minutes.filter(
        pl.col("timestamp").dt.time()
        < pl.when(pl.col("timestamp").dt.date() == dt.date(2025, 7, 3)).then(dt.time(17)).otherwise(dt.time(20))
    )
    wanted = (
        minutes.group_by("symbol", pl.col("timestamp").dt.truncate("1d"), maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
        )
        .select(minutes.columns)
    )
    assert frame(catalog, "1d").equals(wanted)
    assert len(frame(catalog)) > len(minutes)


def test_no_gap_where_none_is_asked_for_and_runs_where_some_are(tmp_path):
    none, some = Catalog(tmp_path / "none"), Catalog(tmp_path / "some")
    assert generate(none, 3, START, START, missing=0).missing == 0
    assert len(frame(none)) == 3 * 390
    generate(some, 20, START, START, missing=0.1)
    steps = frame(some)["timestamp"].diff().dt.total_minutes().drop_nulls()
    assert ((steps == 2).sum() > 0, (steps > 4).sum() > 0) == (True, True)


def test_lunch_breaks_are_kept(tmp_path):
    catalog = Catalog(tmp_path)
    generate(catalog, ["0700"], dt.date(2025, 7, 2), dt.date(2025, 7, 2), exchange_group="HK_EQUITY", missing=0)
    hours = frame(catalog)["timestamp"].dt.convert_time_zone("Asia/Hong_Kong").dt.time()
    assert (len(hours), hours.is_between(dt.time(12), dt.time(12, 59)).any()) == (330, False)


def test_ticks_and_quotes_fit_their_bars(tmp_path):
    catalog = Catalog(tmp_path)
    generate(catalog, 3, START, START, ticks=True, quotes=True)
    bars, ticks, quotes = frame(catalog), frame(catalog, "ticks"), frame(catalog, "quotes")
    per_bar = ticks.group_by("symbol", pl.col("timestamp").dt.truncate("1m"), maintain_order=True).agg(
        pl.col("price").first().alias("first"), pl.col("price").last().alias("last"), pl.len()
    )
    joined = bars.join(per_bar, on=["symbol", "timestamp"])
    assert len(joined) == len(bars) == len(per_bar)
    assert (joined["first"] == joined["open"]).all()
    assert (joined["last"] == joined["close"]).all()
    assert (len(quotes), (quotes["ask"] > quotes["bid"]).all()) == (2 * len(bars), True)
    assert verify(catalog).problems == ()


def test_no_trade_after_the_close_that_cuts_its_bar_short(tmp_path):
    """On 3 July 2025 New York closes at 13:00: the last 1h bar has half an hour."""
    catalog = Catalog(tmp_path)
    day = dt.date(2025, 7, 3)
    generate(catalog, 5, day, day, interval="1h", ticks=True, quotes=True)
    close = dt.datetime(2025, 7, 3, 17, 0, tzinfo=dt.UTC)
    for kind in ("ticks", "quotes"):
        latest = catalog.summary().filter(pl.col("kind") == kind)["last"].max()
        assert dt.timedelta(0) < close - latest < dt.timedelta(minutes=30)


def test_daily_bars_alone(tmp_path):
    catalog = Catalog(tmp_path)
    assert generate(catalog, ["A", "BRK.B"], START, END, interval="1d").rows == {"1d": 6}
    assert catalog.kinds() == ["1d"]


@pytest.mark.parametrize(
    ("symbols", "start", "options", "error"),
    [
        (0, START, {}, ImportDataError),
        (["A", "A"], START, {}, ImportDataError),
        (1, START, {"missing": 1.0}, ImportDataError),
        (1, END, {}, CalendarError),
        (1, dt.date(2025, 8, 1), {}, CalendarError),
        (1, START, {"exchange_group": "MARS"}, UnknownNameError),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path, symbols, start, options, error):
    with pytest.raises(error):
        generate(Catalog(tmp_path), symbols, start, END, **options)


def test_progress_is_told(tmp_path):
    told = []
    generate(Catalog(tmp_path), 1, START, END, progress=lambda *state: told.append(state))
    assert told == [(1, 3, "2025-07-01"), (2, 3, "2025-07-02"), (3, 3, "2025-07-03")]
