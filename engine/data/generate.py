"""Synthetic sessions: seeded, plausible bars of any number of symbols, with gaps, for trials, tests and benchmarks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.time.calendar import ExchangeCalendar, TradingSession
from mismartera.schemas.errors import CalendarError, ImportDataError, UnknownNameError
from mismartera.schemas.exchanges import EXCHANGE_GROUPS
from mismartera.schemas.interval import Interval

from .catalog import Catalog
from .events import make_quotes, make_ticks
from .frames import SessionBars, bar_table, daily_table
from .progress import Progress, silent
from .upsert import UpsertSummary

Floats = NDArray[np.float64]

_LONGEST_RUN = 15
_EXTENDED_PRESENT = 0.25  # share of minutes outside the regular session that see a trade


@dataclass(frozen=True, slots=True)
class GenerateSummary:
    """What was made.

    Attributes
    ----------
    sessions, symbols : int
    rows : dict of str to int
        Rows by kind, such as ``{"1m": 1950, "1d": 5}``.
    missing : int
        Regular bars left out, as gaps.
    partitions : frozenset of Path
        Folders of the partitions written.
    """

    sessions: int
    symbols: int
    rows: dict[str, int]
    missing: int
    partitions: frozenset[Path] = field(default_factory=frozenset)


def generate(
    catalog: Catalog,
    symbols: int | Sequence[str],
    start: dt.date,
    end: dt.date,
    *,
    exchange_group: str = "US_EQUITY",
    interval: Interval | str = "1m",
    seed: int = 0,
    missing: float = 0.01,
    extended_hours: bool = False,
    daily: bool = False,
    ticks: bool = False,
    quotes: bool = False,
    progress: Progress = silent,
) -> GenerateSummary:
    """Generate synthetic sessions and write them to the catalog.

    Parameters
    ----------
    catalog : Catalog
    symbols : int or sequence of str
        Names, or how many: ``SYM0001``, ``SYM0002``, …
    start, end : date
        First and last day, both included; sessions are those of the exchange's calendar.
    exchange_group : str
        Whose calendar holds.
    interval : Interval or str
        Of the bars. ``"1d"`` makes one-minute bars and stores only the daily ones made of them.
    seed : int
        Another seed, another market.
    missing : float
        Share of regular bars to leave out, in ``[0, 1)``: half of them single, half in runs of up to 15.
    extended_hours : bool
        Whether to add sparse bars before the open and after the close.
    daily : bool
        Whether to add the ``1d`` bars made of the regular bars.
    ticks, quotes : bool
        Whether to add a few trades and quotes per bar, consistent with it.
    progress : callable
        Called after each session.

    Raises
    ------
    ImportDataError
        If `symbols` or `missing` make no sense.
    CalendarError
        If no session lies in the window.

    Notes
    -----
    A symbol's rows of a date depend on its place among the symbols, `seed` and the date alone: days may be made in
    any order or piece by piece, and more symbols leave the others' rows as they are. 500 symbols × 5 sessions of
    one-minute bars take about 2 s.
    """
    names = symbol_names(symbols)
    if not 0 <= missing < 1:
        raise ImportDataError(f"missing is {missing}; expected a share from 0 to below 1, such as 0.01")
    sessions = _sessions(exchange_group, start, end)
    stored = Interval(interval)
    base = Interval("1m") if stored.is_daily else stored
    rows: dict[str, int] = {}
    written, gaps = UpsertSummary(), 0
    for done, session in enumerate(sessions):
        bars = make_session(session, len(names), base, seed=seed, missing=missing, extended_hours=extended_hours)
        gaps += int((~bars.present[:, bars.regular]).sum())
        tables = {} if stored.is_daily else {base.text: bar_table(bars, names)}
        if daily or stored.is_daily:
            tables["1d"] = daily_table(bars, names)
        if ticks:
            tables["ticks"] = make_ticks(bars, names, _rng(seed, session.date, "ticks"))
        if quotes:
            tables["quotes"] = make_quotes(bars, names, _rng(seed, session.date, "quotes"))
        for kind, table in tables.items():
            written += catalog.upsert(kind, table)
            rows[kind] = rows.get(kind, 0) + table.num_rows
        progress(done + 1, len(sessions), session.date.isoformat())
    return GenerateSummary(len(sessions), len(names), rows, gaps, written.partitions)


def symbol_names(symbols: int | Sequence[str]) -> list[str]:
    """Return the names given, or as many as asked for; raises `ImportDataError` if there are none or one is twice."""
    names = [f"SYM{place:04d}" for place in range(1, symbols + 1)] if isinstance(symbols, int) else list(symbols)
    if not names:
        raise ImportDataError("no symbols to make up bars for: expected a number of 1 or more, or names")
    if len(set(names)) < len(names) or not all(names):
        raise ImportDataError(f"symbols {', '.join(map(repr, names[:10]))}: each must have a name, and only once")
    return names


def make_session(
    session: TradingSession, count: int, interval: Interval, *, seed: int, missing: float, extended_hours: bool
) -> SessionBars:
    """Make the bars of one session, all symbols at once: arrays of shape (symbols, bars)."""
    starts, ends, regular, place = _grid(session, interval, extended_hours=extended_hours)
    day = session.date
    level, liquidity, volatility = _traits(seed, count)
    smile = np.where(regular, 0.6 + 1.2 * place**2, 0.35)  # more happens near the open and the close
    opening, closing = _daily_levels(seed, day, level, volatility)
    close = _bridge(_rng(seed, day, "path").standard_normal((count, len(starts))), smile, volatility, opening, closing)
    open_ = np.concatenate([opening[:, None], close[:, :-1]], axis=1)
    spread = (volatility[:, None] * smile / np.sqrt(len(starts))) * 0.6
    reach = np.abs(_rng(seed, day, "reach").standard_normal((count, len(starts), 2)))
    high = np.maximum(open_, close) * np.exp(spread * reach[..., 0])
    low = np.minimum(open_, close) * np.exp(-spread * reach[..., 1])
    shape = np.where(regular, 0.5 + 2.5 * place**4, 0.03) * (interval.us / 60e6)
    volume = liquidity[:, None] * shape * np.exp(0.6 * _rng(seed, day, "volume").standard_normal(close.shape))
    present = ~_gaps(_rng(seed, day, "gaps"), close.shape, missing)
    sparse = _rng(seed, day, "extended").random(close.shape) < _EXTENDED_PRESENT
    present &= regular | sparse
    open_, high, low, close = (np.maximum(np.round(price, 2), 0.01) for price in (open_, high, low, close))
    whole = np.maximum(volume, 1).astype(np.int64)
    return SessionBars(day, starts, ends, regular, interval.us, open_, high, low, close, whole, present)


def _sessions(exchange_group: str, start: dt.date, end: dt.date) -> list[TradingSession]:
    group = EXCHANGE_GROUPS.get(exchange_group)
    if group is None:
        raise UnknownNameError("exchange group", exchange_group, sorted(EXCHANGE_GROUPS))
    if end < start:
        raise CalendarError(f"the window ends on {end}, before it starts on {start}")
    sessions = ExchangeCalendar(group, start, end).sessions(start, end)
    if not sessions:
        raise CalendarError(f"no session of {exchange_group} from {start} to {end}", hint="choose a longer window")
    return sessions


def _rng(seed: int, day: dt.date | None, purpose: str) -> np.random.Generator:
    """Return a stream of its own for each purpose, so that one more symbol or option leaves the others' draws alone."""
    return np.random.default_rng([seed, day.toordinal() if day else 0, *purpose.encode()])


def _grid(
    session: TradingSession, interval: Interval, *, extended_hours: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], Floats]:
    """Return bar starts and ends, which are regular, and their place in the session from -1 at the open to 1."""
    parts = [(segment, True) for segment in session.segments]
    if extended_hours:
        parts += [(segment, False) for segment in session.extended]
    parts.sort()
    ranges = [np.arange(start, stop, interval.us, dtype=np.int64) for (start, stop), _ in parts]
    starts = np.concatenate(ranges)
    closes = np.repeat([stop for (_, stop), _ in parts], [len(times) for times in ranges])
    regular = np.repeat([flag for _, flag in parts], [len(times) for times in ranges])
    place = np.zeros(len(starts))
    place[regular] = np.linspace(-1, 1, int(regular.sum()))
    return starts, np.minimum(starts + interval.us, closes), regular, place


def _traits(seed: int, count: int) -> tuple[Floats, Floats, Floats]:
    """Return each symbol's price level, volume per minute and volatility per session."""
    level = np.exp(3.9 + 0.9 * _rng(seed, None, "level").standard_normal(count))
    liquidity = np.exp(7.5 + 1.5 * _rng(seed, None, "liquidity").standard_normal(count))
    volatility = 0.008 + 0.022 * _rng(seed, None, "volatility").random(count)
    return np.maximum(level, 2.0), liquidity, volatility


def _daily_levels(seed: int, day: dt.date, level: Floats, volatility: Floats) -> tuple[Floats, Floats]:
    """Return opening and closing prices of a date.

    Slow waves of random phase stand for the walk over days: unlike a sum of daily steps they need no earlier day.
    """
    phases = _rng(seed, None, "phase").random((len(level), 4)) * 2 * np.pi
    periods, sizes = np.array([11.0, 37.0, 120.0, 401.0]), np.array([1.0, 2.0, 4.0, 7.0])

    def logs(ordinal: int) -> Floats:
        waves = np.sin(2 * np.pi * ordinal / periods + phases) @ sizes
        noise = _rng(seed, dt.date.fromordinal(ordinal), "level").standard_normal(len(level))
        result: Floats = np.log(level) + volatility * (waves + 0.5 * noise)
        return result

    overnight = 0.3 * volatility * _rng(seed, day, "overnight").standard_normal(len(level))
    return np.exp(logs(day.toordinal())), np.exp(logs(day.toordinal() + 1) + overnight)


def _bridge(steps: Floats, smile: Floats, volatility: Floats, opening: Floats, closing: Floats) -> Floats:
    """Return closes of a geometric walk that leads from `opening` to `closing`, its steps scaled by `smile`."""
    weights = smile / np.sqrt(np.sum(smile**2))
    walk = np.cumsum(steps * weights * volatility[:, None], axis=1)
    elapsed = np.cumsum(weights**2)
    drift = np.log(closing / opening) - walk[:, -1]
    result: Floats = opening[:, None] * np.exp(walk + drift[:, None] * elapsed)
    return result


def _gaps(rng: np.random.Generator, shape: tuple[int, int], missing: float) -> NDArray[np.bool_]:
    """Return a mask of bars to leave out: half of them one by one, half in runs."""
    draws = rng.random((*shape, 2))
    lengths = rng.integers(2, _LONGEST_RUN + 1, shape)
    out = draws[..., 0] < missing / 2
    begins = draws[..., 1] < missing / 2 / ((2 + _LONGEST_RUN) / 2)
    for offset in range(min(_LONGEST_RUN, shape[1])):
        out[:, offset:] |= (begins & (lengths > offset))[:, : shape[1] - offset]
    return out
