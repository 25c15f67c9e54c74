"""One vectorised pass over rows as a source has them: those the catalog can hold, and the others with a reason each."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from mismartera.schemas.errors import ImportDataError
from mismartera.schemas.interval import Interval

from .options import OPTIONAL, ImportOptions
from .partition import conform
from .stamps import FORMATS, UNREADABLE, resolve

LATER_ROW = "duplicate in source (a later row has the same symbol and time)"
_PRICES = ("open", "high", "low", "close", "price", "bid", "ask")
_COUNTS = ("volume", "size", "bid_size", "ask_size")
_ORDER = (("high", "low"), ("high", "open"), ("high", "close"), ("low", "open"), ("low", "close"))
_MINUTE_US = 60_000_000
_RAW = "raw_"


@dataclass(frozen=True, slots=True, eq=False)
class Validated:
    """Rows sorted out.

    Attributes
    ----------
    accepted : pyarrow.Table
        In the schema the catalog reads; in the source's order.
    sources : polars.Series
        Where each accepted row came from.
    rejected : polars.DataFrame
        ``source: str, row: i64, reason: str``, then the row's values as the source has them, as texts.
    duplicates : int
        Rows dropped because another is exactly alike.
    """

    accepted: pa.Table
    sources: pl.Series
    rejected: pl.DataFrame
    duplicates: int


def validate(rows: pl.DataFrame, options: ImportOptions) -> Validated:
    """Sort rows out.

    Parameters
    ----------
    rows : polars.DataFrame
        ``source: str``, ``row: i64`` (line or row number there, from 1), ``symbol: str``, ``timestamp`` and the
        kind's fields as the source has them, texts or typed; optionally ``divisor: f64`` for the prices and
        ``misfit: str``, why a row could not even be split.
    options : ImportOptions

    Raises
    ------
    ImportDataError
        If a whole column of one source is text where numbers or times belong: then it is described wrongly.

    Notes
    -----
    Of bars of one symbol and time, exact copies are dropped; of others the last row wins and the earlier ones are
    rejected. Ticks and quotes that are alike are all genuine.
    """
    frame = _parsed(rows, options)
    _require_sense(frame, options)
    frame = frame.with_columns(reason=_reason(options))
    duplicates = 0
    if options.kind == "bars":
        frame, duplicates = _one_per_key(frame, options)
    good = frame.filter(pl.col("reason").is_null())
    bad = frame.filter(pl.col("reason").is_not_null())
    accepted = good.select(
        "symbol", "timestamp", *(pl.col(name).cast(_stored_type(name)) for name in options.fields[1:])
    ).to_arrow()
    originals = [pl.col(_RAW + name).cast(pl.String).alias(name) for name in ["timestamp", *options.fields[1:]]]
    rejected = bad.select("source", "row", "reason", "symbol", *originals)
    return Validated(conform(accepted, options.stored_kind, "rows imported"), good["source"], rejected, duplicates)


def _stored_type(name: str) -> pl.DataType:
    if name in _PRICES:
        return pl.Float64()
    return pl.Int64() if name in _COUNTS else pl.String()


def _parsed(rows: pl.DataFrame, options: ImportOptions) -> pl.DataFrame:
    """Return the rows with typed columns beside the raw ones, null where a value cannot be read."""
    if "misfit" not in rows.columns:
        rows = rows.with_columns(misfit=pl.lit(None, dtype=pl.String))
    stamps = resolve(rows["timestamp"], options)
    frame = rows.rename({name: _RAW + name for name in options.fields})
    typed = [pl.col("symbol").cast(pl.String).str.strip_chars().alias("symbol")]
    for name in options.fields[1:]:
        raw = pl.col(_RAW + name)
        text = rows.schema[name] == pl.String
        clean = raw.str.strip_chars() if text else raw
        number = clean.cast(pl.Float64, strict=False)
        if name in _PRICES:
            typed.append(number.alias(name))
        elif name in _COUNTS:
            # Whole numbers above 2**53 have no exact float; fractions become null here and are told below.
            whole = pl.when(number == number.floor()).then(number).cast(pl.Int64, strict=False)
            typed.append(
                pl.coalesce(clean.cast(pl.Int64, strict=False), whole).alias(name) if text else whole.alias(name)
            )
            typed.append(number.alias(name + "_number"))
        else:
            typed.append(clean.cast(pl.String).replace("", None).alias(name))
    frame = frame.with_columns(timestamp=stamps["timestamp"], problem=stamps["problem"]).with_columns(typed)
    return _divided(frame, options) if "divisor" in frame.columns else frame


def _divided(frame: pl.DataFrame, options: ImportOptions) -> pl.DataFrame:
    """Divide prices by their divisor; in Arrow, as polars multiplies with the inverse: 4500100 / 1e4 would be off."""
    divisor = frame["divisor"].to_arrow()
    names = [name for name in options.fields if name in _PRICES]
    return frame.with_columns(pl.Series(name, pc.divide(frame[name].to_arrow(), divisor)) for name in names)


def _require_sense(frame: pl.DataFrame, options: ImportOptions) -> None:
    """Raise if no value of a column of some source can be read."""
    for name in ["timestamp", *(name for name in options.fields[1:] if name in _PRICES + _COUNTS)]:
        value = pl.col("problem").is_null() if name == "timestamp" else _number(name).is_not_null()
        raw = pl.col(_RAW + name)
        given = raw.is_not_null() & (raw.cast(pl.String).str.strip_chars() != "")
        if not frame.select((given & ~value).any()).item():
            continue
        sources = frame.group_by("source", maintain_order=True).agg(bad=(given & ~value).sum(), given=given.sum())
        wrong = sources.filter(pl.col("bad") == pl.col("given"), pl.col("given") > 0)
        if len(wrong) and (name != "timestamp" or _has_no_clock_change(frame, wrong["source"][0])):
            _raise_senseless(frame.filter(given, pl.col("source") == wrong["source"][0]), name)


def _has_no_clock_change(frame: pl.DataFrame, source: str) -> bool:
    return bool(frame.filter(pl.col("source") == source)["problem"].eq(UNREADABLE).all())


def _raise_senseless(rows: pl.DataFrame, name: str) -> None:
    first = rows.row(0, named=True)
    what = f"times; formats read: {FORMATS}" if name == "timestamp" else "numbers"
    raise ImportDataError(
        f"{first['source']}: column {name} holds text, first {first[_RAW + name]!r} at line {first['row']}; "
        f"expected {what}",
        path=first["source"],
        hint="check --date-format and --columns" if name == "timestamp" else "check --columns and --delimiter",
    )


def _number(name: str) -> pl.Expr:
    return pl.col(name + "_number" if name in _COUNTS else name)


def _reason(options: ImportOptions) -> pl.Expr:
    """Return why a row cannot be held, null where it can; the first reason that fits."""
    checks: list[tuple[pl.Expr, pl.Expr]] = []

    def check(condition: pl.Expr, reason: str | pl.Expr) -> None:
        checks.append((condition, pl.lit(reason) if isinstance(reason, str) else reason))

    check(pl.col("misfit").is_not_null(), pl.col("misfit"))
    check(pl.col("symbol").fill_null("") == "", "symbol missing")
    check(pl.col("problem").is_not_null(), pl.col("problem"))
    for name in options.fields[1:]:
        if name in OPTIONAL:
            continue
        raw = pl.col(_RAW + name).cast(pl.String)
        check(raw.is_null() | (raw.str.strip_chars() == ""), f"{name} missing")
        check(_number(name).is_null(), pl.format(f"{name} is not a number: '{{}}'", raw))
        check(~_number(name).is_finite(), "price not finite" if name in _PRICES else f"{name} not finite")
    if options.kind == "bars":
        for first, second in _ORDER:
            above = first == "low"
            wrong = pl.col(first) > pl.col(second) if above else pl.col(first) < pl.col(second)
            check(wrong, f"{first} {'above' if above else 'below'} {second}")
    for name in (name for name in options.fields if name in _COUNTS):
        check(_number(name) < 0, f"{name} negative")
        check(pl.col(name).is_null(), f"{name} not whole")
    if options.kind == "bars" and not Interval(options.interval).is_daily:
        grid = grid_us(Interval(options.interval))
        off = pl.col("timestamp").dt.epoch("us") % grid != 0
        check(off, f"off the {_grid_text(grid)} grid")
    reason = pl.lit(None, dtype=pl.String)
    for condition, text in reversed(checks):
        reason = pl.when(condition).then(text).otherwise(reason)
    return reason


def grid_us(interval: Interval) -> int:
    """Return what a bar's start is a multiple of, counted from 1970 UTC, in microseconds.

    Bars are anchored at the open of a session, and opens lie on quarters of an hour. So intervals that divide a
    quarter lie on their own grid; of the others only the minute is sure, as of a 1h bar at 09:30.
    """
    if interval.is_daily:
        return 86_400_000_000
    return interval.us if interval.divides("15m") else min(interval.us, _MINUTE_US)


def _grid_text(grid: int) -> str:
    return f"{grid // 1_000_000}s" if grid % _MINUTE_US else Interval(grid // _MINUTE_US).text


def _one_per_key(frame: pl.DataFrame, options: ImportOptions) -> tuple[pl.DataFrame, int]:
    """Drop exact copies of a bar, and give earlier rows of its key a reason; return how many were dropped."""
    key, values = ["symbol", "timestamp"], options.fields[1:]
    good = pl.col("reason").is_null()
    twice = pl.struct(*key).is_duplicated()
    repeated = frame.with_row_index("place").filter(good).filter(twice)
    if not len(repeated):
        return frame, 0
    same = pl.all_horizontal(pl.col(name) == pl.col(name).last().over(key) for name in values)
    last = pl.col("place") == pl.col("place").max().over(key)
    repeated = repeated.select("place", is_copy=same & ~last, is_earlier=~same)
    marks = frame.with_row_index("place").join(repeated, on="place", how="left", maintain_order="left")
    copies = int(repeated["is_copy"].sum())
    reason = pl.when(pl.col("is_earlier")).then(pl.lit(LATER_ROW)).otherwise("reason").alias("reason")
    return marks.filter(~pl.col("is_copy").fill_null(False)).with_columns(reason), copies
