"""A deliberately naive model of a session: rows, lists and loops, written from spec/EXPORT.md and ARCHITECTURE.md.

It shares no code with the engine, not even its calendar: sessions are literal.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import NamedTuple

DAY_US = 86_400_000_000
UNIT_US = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": DAY_US}


def length_us(interval: str) -> int:
    return int(interval[:-1]) * UNIT_US[interval[-1]]


class Row(NamedTuple):
    """One bar of the catalog."""

    symbol: str
    start_us: int
    open: float
    high: float
    low: float
    close: float
    volume: int


class Bar(NamedTuple):
    """One bar as a session shows it."""

    start_us: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    n_base: int
    n_expected: int
    available_us: int


class Bucket(NamedTuple):
    """A place for a bar: its label, the instant it is known, the ranges of time it covers."""

    label_us: int
    known_us: int
    ranges: tuple[tuple[int, int], ...]
    segment: int
    expected: bool


@dataclass(frozen=True)
class Session:
    """A session at the exchange, as a person writes it down."""

    date: str
    utc_offset_h: int
    segments: tuple[tuple[str, str], ...]
    extended: tuple[tuple[str, str], ...] = ()

    def us(self, clock: str) -> int:
        midnight = dt.datetime.fromisoformat(self.date).replace(tzinfo=dt.UTC)
        hours, minutes, *seconds = (int(part) for part in clock.split(":"))
        local_s = hours * 3600 + minutes * 60 + (seconds[0] if seconds else 0)
        return int(midnight.timestamp()) * 1_000_000 + (local_s - self.utc_offset_h * 3600) * 1_000_000

    def clock(self, us: int) -> str:
        moment = dt.datetime.fromtimestamp(us // 1_000_000, dt.UTC) + dt.timedelta(hours=self.utc_offset_h)
        return moment.strftime("%H:%M:%S")

    @property
    def label_us(self) -> int:
        return int(dt.datetime.fromisoformat(self.date).replace(tzinfo=dt.UTC).timestamp()) * 1_000_000

    @property
    def open_us(self) -> int:
        return self.us(self.segments[0][0])

    @property
    def close_us(self) -> int:
        return self.us(self.segments[-1][1])

    def has(self, us: int) -> bool:
        """Whether an instant lies on the session's local date."""
        return self.us("00:00") <= us < self.us("00:00") + DAY_US

    def buckets(self, interval: str, *, extended: bool) -> list[Bucket]:
        if interval == "1d":
            ranges = tuple((self.us(a), self.us(b)) for a, b in self.segments)
            return [Bucket(self.label_us, self.close_us, ranges, 0, expected=True)]
        spans = [(self.us(a), self.us(b), True) for a, b in self.segments]
        if extended:
            spans += [(self.us(a), self.us(b), False) for a, b in self.extended]
        found = []
        for number, (opened, closed, regular) in enumerate(sorted(spans)):
            start = opened
            while start < closed:
                end = min(start + length_us(interval), closed)
                found.append(Bucket(start, end, ((start, end),), number, expected=regular))
                start += length_us(interval)
        return found


@dataclass
class Day:
    """One session with the rows the catalog has of it."""

    session: Session
    rows: list[Row]
    base: str
    extended: bool = False
    _bars: dict[tuple[str, str], list[Bar]] = field(default_factory=dict)
    _buckets: dict[str, list[Bucket]] = field(default_factory=dict)

    def buckets(self, interval: str) -> list[Bucket]:
        if interval not in self._buckets:
            self._buckets[interval] = self.session.buckets(interval, extended=self.extended)
        return self._buckets[interval]

    def outside(self) -> int:
        """Rows of the local date that belong to no base bar."""
        buckets = self.buckets(self.base)
        return sum(
            1
            for row in self.rows
            if self.session.has(row.start_us)
            and not any(a <= row.start_us < b for bucket in buckets for a, b in bucket.ranges)
        )

    def all_bars(self, symbol: str, interval: str) -> list[Bar]:
        """Bars of the whole session, ascending."""
        if (symbol, interval) not in self._bars:
            own = sorted((row for row in self.rows if row.symbol == symbol), key=lambda row: row.start_us)
            base_starts = [bucket.label_us for bucket in self.buckets(self.base)]
            bars = []
            for bucket in self.buckets(interval):
                members = [row for row in own if any(a <= row.start_us < b for a, b in bucket.ranges)]
                possible = [start for start in base_starts if any(a <= start < b for a, b in bucket.ranges)]
                if members:
                    bars.append(
                        Bar(
                            bucket.label_us,
                            members[0].open,
                            max(row.high for row in members),
                            min(row.low for row in members),
                            members[-1].close,
                            sum(row.volume for row in members),
                            len(members),
                            len(possible),
                            bucket.known_us,
                        )
                    )
            self._bars[symbol, interval] = bars
        return self._bars[symbol, interval]

    def bars(self, symbol: str, interval: str, now_us: int) -> list[Bar]:
        """Bars visible at `now_us`."""
        return [bar for bar in self.all_bars(symbol, interval) if bar.available_us <= now_us]

    def expected(self, interval: str, now_us: int) -> list[Bucket]:
        return [bucket for bucket in self.buckets(interval) if bucket.expected and bucket.known_us <= now_us]

    def missing(self, symbol: str, interval: str, now_us: int) -> list[Bucket]:
        there = {bar.start_us for bar in self.bars(symbol, interval, now_us)}
        return [bucket for bucket in self.expected(interval, now_us) if bucket.label_us not in there]

    def gaps(self, symbol: str, interval: str, now_us: int) -> list[tuple[int, int, int]]:
        """Runs of consecutive missing starts: first, last, count."""
        runs: list[list[Bucket]] = []
        missing = self.missing(symbol, interval, now_us)
        for bucket in missing:
            follows = (
                runs
                and runs[-1][-1].segment == bucket.segment
                and runs[-1][-1].label_us + length_us(interval) == bucket.label_us
            )
            if follows:
                runs[-1].append(bucket)
            else:
                runs.append([bucket])
        return [(run[0].label_us, run[-1].label_us, len(run)) for run in runs]

    def quality(self, symbol: str, interval: str, now_us: int) -> float | None:
        expected = len(self.expected(interval, now_us))
        return percent(expected - len(self.missing(symbol, interval, now_us)), expected)

    def metrics(self, symbol: str, now_us: int) -> tuple[int, float | None, float | None, float | None]:
        """Volume, high, low and vwap of the base bars, summed one after another."""
        volume, turnover, high, low = 0, 0.0, None, None
        for bar in self.bars(symbol, self.base, now_us):
            volume += bar.volume
            turnover += (bar.high + bar.low + bar.close) / 3 * bar.volume
            high = bar.high if high is None or bar.high > high else high
            low = bar.low if low is None or bar.low < low else low
        return volume, high, low, turnover / volume if volume else None

    def steps(self, *derived: str) -> list[int]:
        """Instants at which a base bar is due, or a bar becomes visible."""
        instants = {bucket.known_us for bucket in self.expected(self.base, self.session.us("00:00") + 2 * DAY_US)}
        for symbol in {row.symbol for row in self.rows}:
            for interval in (self.base, *derived):
                instants |= {bar.available_us for bar in self.all_bars(symbol, interval)}
        return sorted(instants)


def percent(there: int, expected: int) -> float | None:
    """A share in percent, rounded down to two decimals."""
    if expected == 0:
        return None
    hundredths = 10_000 * there // expected
    return hundredths / 100


def trailing(sessions: list[Session], date: str, count: int) -> list[Session]:
    """The `count` sessions before `date`."""
    return [session for session in sessions if session.date < date][-count:]
