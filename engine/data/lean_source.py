"""LEAN data folders: ``equity/usa/minute/spy/20250702_trade.zip`` and their like."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mismartera.schemas.errors import ImportDataError
from mismartera.schemas.interval import Interval

from .csv_records import CsvRecords
from .members import open_members, readable
from .options import ImportOptions

SUFFIXES = (".zip", ".csv")
ZONE = "America/New_York"
_RESOLUTIONS = {"1s": "second", "1m": "minute", "1h": "hour", "1d": "daily"}
_DATED = re.compile(r"(\d{8})(?:_.*)?_(trade|quote)(?:_.*)?$")
_BAR = ["open", "high", "low", "close", "volume"]
_QUOTE_BAR = ["-", "-", "-", "bid", "bid_size", "-", "-", "-", "ask", "ask_size"]
_TICK = ["price", "size", "exchange"]
_QUOTE_TICK = ["bid", "bid_size", "ask", "ask_size"]


@dataclass(frozen=True, slots=True)
class LeanFile:
    """What a path of a LEAN folder says about the file. `date` is None where rows carry theirs (daily and hour)."""

    path: Path
    symbol: str
    resolution: str
    date: dt.date | None
    content: str
    divisor: float

    @classmethod
    def of(cls, path: Path, options: ImportOptions) -> LeanFile | None:
        """Read a path; None if it is not named as LEAN names its data."""
        parts = [part.lower() for part in path.absolute().parts]
        known = [place for place, part in enumerate(parts[:-1]) if part in (*_RESOLUTIONS.values(), "tick")]
        stem = path.name.split(".zip")[0].removesuffix(".csv")
        dated = _DATED.match(stem)
        if not known and not (dated and options.symbol):
            return None
        resolution = parts[known[-1]] if known else _RESOLUTIONS.get(options.stored_kind, "minute")
        market = parts[known[-1] - 2] if known and known[-1] >= 2 else "equity"
        divisor = 1e4 if market in ("equity", "option", "index", "indexoption") else 1.0
        if resolution in ("daily", "hour"):
            symbol, _, content = stem.partition("_")
            return cls(path, symbol.upper(), resolution, None, content or "trade", divisor)
        if dated is None:
            return None
        symbol = parts[-2] if known and known[-1] < len(parts) - 2 else options.symbol or ""
        date = dt.datetime.strptime(dated[1], "%Y%m%d").date()  # noqa: DTZ007 - a date has no zone
        return cls(path, symbol.upper(), resolution, date, dated[2], divisor)


def select(paths: list[Path], options: ImportOptions) -> list[Path]:
    """Return the files that hold what is imported, by date and then symbol, so that few partitions are open at once.

    Raises
    ------
    ImportDataError
        If LEAN has no such data, or none of the files is one.
    """
    wanted = _RESOLUTIONS.get(options.stored_kind) if options.kind == "bars" else None
    if options.kind == "bars" and wanted is None:
        raise ImportDataError(
            f"LEAN has no bars of {Interval(options.interval)}; it has {', '.join(_RESOLUTIONS)}",
            hint="import --interval 1m: coarser bars are derived when a session runs",
        )
    found = [file for path in paths if (file := LeanFile.of(path, options))]
    fits = [file for file in found if _fits(file, options, wanted)]
    if not fits:
        seen = sorted({f"{file.resolution} {file.content}" for file in found})
        raise ImportDataError(
            f"{paths[0] if len(paths) == 1 else paths[0].parent}: no LEAN file of {options.kind} "
            f"{wanted or ''} among {len(paths)}; found {', '.join(seen) or 'none named as LEAN names them'}",
            hint="LEAN names them equity/usa/minute/spy/20250702_trade.zip, equity/usa/daily/spy.zip; "
            "check --interval, --kind and --symbol",
        )
    fits.sort(key=lambda file: (file.date or dt.date.min, file.symbol, file.path))
    return [file.path for file in fits]


def _fits(file: LeanFile, options: ImportOptions, wanted: str | None) -> bool:
    if options.symbol and file.symbol != options.symbol.upper():
        return False
    if options.kind == "bars":
        return file.resolution == wanted and file.content == "trade"
    if options.kind == "ticks":
        return file.resolution == "tick" and file.content == "trade"
    return file.date is not None and file.content == "quote"


def read(path: Path, options: ImportOptions) -> Iterator[pl.DataFrame]:
    """Read a file as frames that `validate` takes; stamps come as local datetimes, prices with their divisor.

    Notes
    -----
    A quote made of a quote bar is its last bid and ask, stamped at the bar's end: before that it was not known.
    """
    file = LeanFile.of(path, options)
    if file is None:
        raise ImportDataError(f"{path}: not named as LEAN names its data", path=path)
    with readable(path):
        for label, stream in open_members(path):
            for records in CsvRecords(label, stream, ",").frames():
                yield _frame(records, label, file, options)


def _frame(records: pl.DataFrame, label: str, file: LeanFile, options: ImportOptions) -> pl.DataFrame:
    texts = {name: pl.lit(None, dtype=pl.String).alias(name) for name in options.fields[1:]}
    for place, ours in enumerate(_columns(file, options), start=1):
        if f"field_{place}" in records.columns and ours != "-":
            texts[ours] = pl.col(f"field_{place}").alias(ours)
    return records.select(
        pl.lit(label).alias("source"),
        "row",
        pl.lit(file.symbol).alias("symbol"),
        _stamps(records["field_0"], file, options).alias("timestamp"),
        *texts.values(),
        pl.lit(file.divisor).alias("divisor"),
        pl.format("too many fields: '{}'", "misfit").alias("misfit"),
    )


def _columns(file: LeanFile, options: ImportOptions) -> list[str]:
    if options.kind == "bars":
        return _BAR
    if options.kind == "ticks":
        return _TICK
    return _QUOTE_TICK if file.resolution == "tick" else _QUOTE_BAR


def _stamps(texts: pl.Series, file: LeanFile, options: ImportOptions) -> pl.Series:
    """Return local datetimes; those of dated files are their date plus milliseconds since local midnight."""
    if file.date is None:
        return texts.str.strip_chars().str.to_datetime("%Y%m%d %H:%M", strict=False, time_unit="us")
    micros = (texts.str.strip_chars().cast(pl.Float64, strict=False) * 1000).round(0).cast(pl.Int64, strict=False)
    is_bar_quote = options.kind == "quotes" and file.resolution != "tick"
    length = {"second": 1_000_000, "minute": 60_000_000}.get(file.resolution, 0) if is_bar_quote else 0
    midnight = pl.Series([file.date]).cast(pl.Datetime("us"))
    return midnight.new_from_index(0, len(texts)) + (micros + length).cast(pl.Duration("us"))
