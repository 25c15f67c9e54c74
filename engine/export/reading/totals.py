"""`require_totals`: whether a chain of exports adds up to the rows that each of them says there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa

from mismartera.engine.export.consumers.filter import EVENTS

from .chain import require_total

_SECTION = ["symbol", "interval"]


@dataclass(frozen=True, slots=True)
class Counted:
    """What the proof of totals needs of one export.

    Attributes
    ----------
    path : object
    metadata : mapping
    symbols, keys, totals : polars.DataFrame
        Its symbols; symbol, interval and timestamp of its session rows; how many there are after it by symbol and
        interval.
    """

    path: object
    metadata: Mapping[str, Any]
    symbols: pl.DataFrame
    keys: pl.DataFrame
    totals: pl.DataFrame

    @classmethod
    def of(cls, path: object, metadata: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> Counted:
        """Return it for an export's tables."""
        keys = [_plain(tables["session_bars"].select([*_SECTION, "timestamp"]))]
        for kind in EVENTS:
            events = _plain(tables[kind].select(["symbol", "timestamp"])).with_columns(interval=pl.lit(kind))
            keys.append(events.select(keys[0].columns))
        totals = _plain(tables["quality"].select([*_SECTION, "scope", "total_count"]))
        return cls(
            path,
            metadata,
            _plain(tables["session_metrics"].select(["symbol"])),
            pl.concat(keys),
            totals.filter(pl.col("scope") == "session").drop("scope"),
        )


def require_totals(chain: Sequence[Counted]) -> None:
    """Raise `ChainError` unless, after each export, as many rows are held of a section as it says.

    Notes
    -----
    The proof that a replay makes, in one pass over the rows of all exports. A symbol's rows start over where it joins
    or joins again, with a complete export, and with a new session.
    """
    restarts = [at for at, one in enumerate(chain) if one.metadata["complete"] or one.metadata["reset"]]
    symbols = _numbered([one.symbols for one in chain]).sort("member")
    joined = (pl.col("member") - pl.col("member").shift().over("symbol") != 1).fill_null(True)
    lives = symbols.with_columns(life=(joined | pl.col("member").is_in(restarts)).cum_sum().over("symbol"))
    group = [*_SECTION, "life"]
    rows = _numbered([one.keys for one in chain]).join(lives, on=["symbol", "member"])
    is_event = pl.col("interval").is_in(list(EVENTS))
    first = rows.filter(~is_event).group_by(*group, "timestamp").agg(pl.col("member").min()).drop("timestamp")
    events = rows.filter(is_event).select(first.columns)
    fresh = pl.concat([first, events]).group_by(*group, "member").agg(pl.len().cast(pl.Int64).alias("fresh"))
    totals = _numbered([one.totals for one in chain]).join(lives, on=["symbol", "member"])
    both = totals.join(fresh, on=[*group, "member"], how="left").sort("member", *_SECTION)
    held = both.with_columns(held=pl.col("fresh").fill_null(0).cum_sum().over(group))
    wrong = held.filter(pl.col("held") != pl.col("total_count"))
    for row in wrong.head(1).iter_rows(named=True):
        require_total(chain[row["member"]].path, row["symbol"], row["interval"], row["held"], row["total_count"])


def _numbered(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([frame.with_columns(member=pl.lit(at, pl.Int64)) for at, frame in enumerate(frames)])


def _plain(table: pa.Table) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(table)).with_columns(pl.col(pl.Categorical).cast(pl.String))
