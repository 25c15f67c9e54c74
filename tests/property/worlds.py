"""Random small worlds: sessions of real dates, a few symbols, sparse bars, and what imports get wrong."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import settings
from hypothesis import strategies as st

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.bars import BAR_SCHEMA
from mismartera.schemas.config import parse_config

from .naive import Day, Row, Session, length_us

US_DAY, US_EARLY = (("09:30", "16:00"),), (("09:30", "13:00"),)
AROUND_DAY, AROUND_EARLY = (("04:00", "09:30"), ("16:00", "20:00")), (("04:00", "09:30"), ("13:00", "17:00"))
HK_DAY, HK_HALF = (("09:30", "12:00"), ("13:00", "16:00")), (("09:30", "12:00"),)


def us(date: str, offset: int) -> Session:
    return Session(date, offset, US_DAY, AROUND_DAY)


def early(date: str, offset: int) -> Session:
    return Session(date, offset, US_EARLY, AROUND_EARLY)


US_JULY = [
    us("2024-06-28", -4),
    us("2024-07-01", -4),
    us("2024-07-02", -4),
    early("2024-07-03", -4),
    us("2024-07-05", -4),
]
US_NOVEMBER = [us("2024-11-26", -5), us("2024-11-27", -5), early("2024-11-29", -5), us("2024-12-02", -5)]
US_MARCH = [us("2024-03-07", -5), us("2024-03-08", -5), us("2024-03-11", -4), us("2024-03-12", -4)]
HK_DECEMBER = [
    Session("2024-12-20", 8, HK_DAY),
    Session("2024-12-23", 8, HK_DAY),
    Session("2024-12-24", 8, HK_HALF),
    Session("2024-12-27", 8, HK_DAY),
]
CALENDARS = {
    "us_july": ("US_EQUITY", US_JULY),
    "us_november": ("US_EQUITY", US_NOVEMBER),
    "us_march": ("US_EQUITY", US_MARCH),
    "hk_december": ("HK_EQUITY", HK_DECEMBER),
}
DERIVED = {
    "30s": ["1m", "5m", "7m", "1h", "1d"],
    "1m": ["5m", "15m", "1h", "7m", "1d"],
    "5m": ["15m", "1h", "25m", "1d"],
}
ANCHOR_US = 1_704_898_800_000_000  # 2024-01-10 15:00 UTC, before every window: each symbol exists somewhere
SYMBOLS = ["A", "BRK.B", "ZZ", "a/b~c"]


def laws(examples: int) -> settings:
    """Settings of a law: so many examples in `make test`, as many as the profile says in `make fuzz`."""
    is_deep = settings.get_current_profile_name() == "fuzz"
    return settings(max_examples=settings.default.max_examples if is_deep else examples)


@dataclass(frozen=True)
class World:
    """Rows on disk, and the configuration of a run over them."""

    group: str
    sessions: list[Session]
    first: int
    last: int
    base: str
    derived: list[str]
    symbols: list[str]
    extended: bool
    trailing_days: int
    rows: list[Row]

    @property
    def window(self) -> list[Session]:
        return self.sessions[self.first : self.last + 1]

    def day(self, session: Session) -> Day:
        return Day(session, [row for row in self.rows if session.has(row.start_us)], self.base, self.extended)

    def with_rows(self, rows: list[Row]) -> World:
        return replace(self, rows=rows)

    def config(self) -> dict[str, Any]:
        history: list[dict[str, Any]] = []
        indicators: dict[str, Any] = {}
        if self.trailing_days:
            wanted = [self.base, *self.derived[:1]]
            history = [{"interval": interval, "trailing_days": self.trailing_days} for interval in wanted]
            indicators = {
                "mean_volume": {"type": "daily_average", "field": "volume", "trailing_days": self.trailing_days},
                "mean_open": {"type": "daily_average", "field": "open", "trailing_days": 1},
                "highest": {"type": "field_max", "field": "high", "trailing_days": self.trailing_days},
                "lowest": {"type": "field_min", "field": "low", "trailing_days": 1},
            }
            if self.base != "5m":
                indicators["by_minute"] = {
                    "type": "intraday_average",
                    "field": "close",
                    "trailing_days": self.trailing_days,
                }
        return {
            "session_name": "Laws",
            "exchange_group": self.group,
            "backtest_config": {"start_date": self.window[0].date, "end_date": self.window[-1].date},
            "session_data_config": {
                "symbols": self.symbols,
                "streams": [self.base],
                "derived_intervals": self.derived,
                "extended_hours": self.extended,
                "historical": {"data": history, "indicators": indicators},
            },
        }

    def write(self, root: Path) -> Catalog:
        catalog = Catalog(root)
        anchors = [Row(symbol, ANCHOR_US, 1.0, 1.0, 1.0, 1.0, 1) for symbol in self.symbols]
        catalog.upsert(self.base, table_of([*self.rows, *anchors]))
        return catalog

    @contextmanager
    def system(self) -> Iterator[SystemManager]:
        """A system over this world in a folder of its own; its threads have ended afterwards."""
        root = Path(tempfile.mkdtemp(prefix="laws-"))
        system = SystemManager(parse_config(self.config()), self.write(root / "catalog"))
        try:
            yield system
        finally:
            system.stop()
            shutil.rmtree(root)


def table_of(rows: list[Row]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table(dict(zip(BAR_SCHEMA.names, columns, strict=True)), schema=BAR_SCHEMA)


def random_row(random: random.Random, symbol: str, start_us: int) -> Row:
    low = random.choice([round(random.uniform(1, 9), 2), random.uniform(1e-7, 1e-6), random.uniform(1e3, 1e9)])
    inner = sorted(random.choice([low, low * random.uniform(1, 1.01)]) for _ in range(3))
    opened, closed = random.sample([*inner[:2], low], 2)
    return Row(symbol, start_us, opened, max(inner), low, closed, random.choice([0, 1, 100, random.randrange(10**7)]))


@st.composite
def worlds(draw: st.DrawFn, *, max_sessions: int = 2, half_minutes: bool = False) -> World:
    group, sessions = CALENDARS[draw(st.sampled_from(sorted(CALENDARS)))]
    if half_minutes:  # on a short day: half-minute bars of a whole one are many
        group, sessions = draw(st.sampled_from([CALENDARS[name] for name in ("us_july", "us_november", "hk_december")]))
        short = [each for each, session in enumerate(sessions) if session.close_us - session.open_us < length_us("4h")]
        first = last = short[0]
        base = "30s"
    else:
        first = draw(st.integers(0, len(sessions) - 1))
        last = draw(st.integers(first, min(first + max_sessions, len(sessions)) - 1))
        base = draw(st.sampled_from(["1m", "5m", "5m"]))
    derived = draw(st.lists(st.sampled_from(DERIVED[base]), min_size=1, max_size=3, unique=True))
    symbols = draw(st.permutations(SYMBOLS[: draw(st.integers(1, len(SYMBOLS)))]))
    extended = group == "US_EQUITY" and draw(st.booleans()) and base == "5m"
    trailing_days = draw(st.integers(0, min(first, 2)))
    randomness = random.Random(draw(st.integers(0, 2**32)))
    starts: set[tuple[str, int]] = set()
    for session in sessions[first - trailing_days : last + 1]:
        for symbol in symbols:
            starts |= {(symbol, start) for start in draw(_starts(session, base, extended))}
    rows = [random_row(randomness, symbol, start) for symbol, start in sorted(starts)]
    randomness.shuffle(rows)
    return World(group, sessions, first, last, base, derived, symbols, extended, trailing_days, rows)


@st.composite
def _starts(draw: st.DrawFn, session: Session, base: str, extended: bool) -> set[int]:
    """Bar starts of one symbol in one session, and prints that belong to no bar."""
    kind = draw(st.sampled_from(["none", "one", "runs", "runs", "edges", "full"]))
    grid = [bucket.label_us for bucket in session.buckets(base, extended=extended)]
    regular = [bucket.label_us for bucket in session.buckets(base, extended=False)]
    found: set[int] = set()
    if kind == "one":
        found.add(draw(st.sampled_from(grid)))
    elif kind == "runs":
        for begin, length in draw(st.lists(st.tuples(st.integers(0, len(grid) - 1), st.integers(1, 40)), max_size=4)):
            found |= set(grid[begin : begin + length])
    elif kind == "full":
        lost = draw(st.sets(st.integers(0, len(regular) - 1), max_size=3))
        found |= {start for number, start in enumerate(regular) if number not in lost}
    elif kind == "edges":
        edges = {session.us(a) for a, _ in session.segments}
        edges |= {max(start for start in regular if start < session.us(b)) for _, b in session.segments}
        found |= set(draw(st.sets(st.sampled_from(sorted(edges)))))
    stray = [session.us(b) for _, b in session.segments] + [session.us("00:00"), session.open_us - length_us(base)]
    return found | set(draw(st.sets(st.sampled_from(stray), max_size=2)))
