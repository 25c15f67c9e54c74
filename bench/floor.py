"""The floor: a plain Polars script that reads the same files and makes the same bars and gaps, and nothing else.

It knows no engine: no threads, no stepping, no state that could be watched. It is written to be as fast as Polars can
be asked for it: each variant below is timed and the fastest one is the floor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

MINUTE_US = 60_000_000
DAY_US = 86_400_000_000
OPEN_US = (13 * 60 + 30) * MINUTE_US
"""New York's 09:30 in June, in UTC: the script may take it as given, the engine looks it up."""
SESSION_MINUTES = 390
COARSER = (5, 15, 60)
KINDS = (1, *COARSER)


@dataclass(frozen=True, slots=True)
class Found:
    """What a variant made, by minutes of the interval: rows, gap ranges and missing bars. All variants must agree."""

    rows: dict[int, int]
    ranges: dict[int, int]
    missing: dict[int, int]


def lazy_all(folder: Path) -> Found:
    """One lazy query per interval over all files at once, from the base bars; gaps by window functions."""
    scan = pl.scan_parquet(folder / "**/*.parquet", hive_partitioning=False).with_columns(
        day=pl.col("timestamp").to_physical() // DAY_US,
        minute=(pl.col("timestamp").to_physical() % DAY_US - OPEN_US) // MINUTE_US,
    )
    key = ("symbol", "day")
    frames = {1: scan.with_columns(bucket="minute")} | {
        minutes: scan.group_by(*key, (pl.col("minute") // minutes).alias("bucket"), maintain_order=True).agg(*_ohlcv())
        for minutes in COARSER
    }
    gaps = [_gaps(frame, key, minutes) for minutes, frame in frames.items()]
    collected = pl.collect_all([*frames.values(), *gaps])
    return _found(KINDS, collected[: len(frames)], collected[len(frames) :])


def daily(folder: Path) -> Found:
    """One file at a time; each interval from the next finer one, grouped by symbol and bucket."""
    bars, gaps = [], []
    for path in sorted(folder.glob("*/*.parquet")):
        stamp = pl.col("timestamp").to_physical()
        frame = pl.read_parquet(path, hive_partitioning=False).with_columns(
            bucket=((stamp % DAY_US - OPEN_US) // MINUTE_US).cast(pl.Int32)
        )
        made = {1: frame}
        for finer, minutes in zip((1, *COARSER), COARSER, strict=False):
            bucket = (pl.col("bucket") // (minutes // finer)).alias("bucket")
            made[minutes] = made[finer].group_by("symbol", bucket, maintain_order=True).agg(*_ohlcv())
        bars.append(made)
        gaps.append({minutes: _gaps(each.lazy(), ("symbol",), minutes).collect() for minutes, each in made.items()})
    return _found(
        KINDS,
        [pl.concat([day[minutes] for day in bars], rechunk=False) for minutes in KINDS],
        [pl.concat([day[minutes] for day in gaps], rechunk=False) for minutes in KINDS],
    )


def numbered(folder: Path) -> Found:
    """All files at once; the rows are sorted, so symbol and day become one run number and a group's key one integer."""
    stamp, symbol = pl.col("timestamp").to_physical(), pl.col("symbol")
    frame = pl.read_parquet(folder / "*/*.parquet", hive_partitioning=False).with_columns(
        day=(stamp // DAY_US).cast(pl.Int32), bucket=((stamp % DAY_US - OPEN_US) // MINUTE_US).cast(pl.Int32)
    )
    begins = (symbol != symbol.shift()) | (pl.col("day") != pl.col("day").shift())
    made = {1: frame.with_columns(run=begins.fill_null(False).cum_sum().cast(pl.Int32))}
    for finer, minutes in zip((1, *COARSER), COARSER, strict=False):
        bucket = pl.col("bucket") // (minutes // finer)
        key = (pl.col("run") * 512 + bucket).alias("key")
        grouped = made[finer].group_by(key, maintain_order=True)
        made[minutes] = grouped.agg(pl.first("run", "symbol"), bucket.first().alias("bucket"), *_ohlcv())
    gaps = [_gaps(each.lazy(), ("run",), minutes).collect() for minutes, each in made.items()]
    return _found(KINDS, list(made.values()), gaps)


VARIANTS: dict[str, Callable[[Path], Found]] = {
    "lazy, all files": lazy_all,
    "eager, a day at a time": daily,
    "eager, all files, one integer key": numbered,
}


def _ohlcv() -> tuple[pl.Expr, ...]:
    return (
        pl.first("timestamp"),
        pl.first("open"),
        pl.max("high"),
        pl.min("low"),
        pl.last("close"),
        pl.sum("volume"),
        pl.len().alias("n"),
    )


def _gaps(frame: pl.LazyFrame, key: tuple[str, ...], minutes: int) -> pl.LazyFrame:
    """Return the gap ranges between rows, before the first and after the last of each key: first, last bucket."""
    expected = -(-SESSION_MINUTES // minutes)
    bucket = pl.col("bucket").cast(pl.Int32)
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift() for name in key).fill_null(False)
    before = pl.when(same).then(bucket.shift()).otherwise(-1).alias("before")
    is_last = ~pl.all_horizontal(pl.col(name) == pl.col(name).shift(-1) for name in key).fill_null(False)
    sorted_frame = frame if len(key) == 1 else frame.sort(*key, "bucket")
    marked = sorted_frame.select(*key, bucket, before, is_last.alias("is_last"))
    inner = marked.filter(pl.col("bucket") - pl.col("before") > 1)
    tail = marked.filter(pl.col("is_last") & (pl.col("bucket") < expected - 1))
    return pl.concat(
        [
            inner.select(*key, first=pl.col("before") + 1, last=pl.col("bucket") - 1),
            tail.select(*key, first=pl.col("bucket") + 1, last=pl.lit(expected - 1, dtype=pl.Int32)),
        ]
    )


def _found(kinds: Sequence[int], bars: Sequence[pl.DataFrame], gaps: Sequence[pl.DataFrame]) -> Found:
    return Found(
        {kind: frame.height for kind, frame in zip(kinds, bars, strict=True)},
        {kind: frame.height for kind, frame in zip(kinds, gaps, strict=True)},
        {kind: int((frame["last"] - frame["first"] + 1).sum()) for kind, frame in zip(kinds, gaps, strict=True)},
    )
