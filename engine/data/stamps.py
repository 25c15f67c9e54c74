"""Time stamps as sources write them, made into instants: formats, zones, stamps at the end, labels of daily bars."""

from __future__ import annotations

import datetime as dt
import re

import polars as pl

from mismartera.schemas.errors import ImportDataError
from mismartera.schemas.interval import Interval

from .options import ImportOptions

UNREADABLE = "timestamp missing or unreadable"
CLOCK_CHANGE = "local time does not exist or occurs twice, as the clock changes"
FORMATS = "ISO 8601, YYYYMMDD HHMMSS, YYYYMMDD, or seconds, milliseconds or microseconds since 1970"

_FRACTION = re.compile(r"%\.\d?f")
_CLOCK = re.compile(r"%-?[HIklTRXrcsp]")
_NAIVE = pl.Datetime("us")
_UTC = pl.Datetime("us", "UTC")
_DATE_FORMATS = ("%Y-%m-%d",)
_NAIVE_FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y%m%d %H%M%S",
    "%Y%m%d %H:%M:%S%.f",
    "%Y%m%d %H:%M",
    "%Y%m%d %H%M",
)
_AWARE_FORMATS = ("%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M%z", "%Y%m%d %H%M%S%z")


def resolve(stamp: pl.Series, options: ImportOptions) -> pl.DataFrame:
    """Make stamps into the timestamps the catalog stores.

    Parameters
    ----------
    stamp : polars.Series
        Texts, numbers, dates or datetimes with or without a zone.
    options : ImportOptions
        Zone of naive stamps, and what the stamp of a bar marks.

    Returns
    -------
    polars.DataFrame
        ``timestamp: datetime[us, UTC]``, the start of the bar, of a daily one its local date at 00:00 UTC, null where
        there is none; ``problem: str``, why there is none.

    Raises
    ------
    ImportDataError
        If the column's type can be no time.

    Notes
    -----
    A daily stamp that is a date alone is a label and taken as it is, whatever `options.stamp` says.
    """
    parts = _parts(stamp, options.date_format)
    utc = pl.col("utc")
    local = pl.col("naive").dt.replace_time_zone(options.zone, ambiguous="null", non_existent="null")
    ends = options.kind == "bars" and options.stamp == "end"
    interval = Interval(options.interval)
    if options.kind == "bars" and interval.is_daily:
        wall = pl.coalesce("naive", utc.dt.convert_time_zone(options.zone).dt.replace_time_zone(None))
        if ends:
            wall = pl.when("is_date").then(wall).otherwise(wall - pl.duration(microseconds=1))
        timestamp = wall.dt.truncate("1d").dt.replace_time_zone("UTC")
    else:
        timestamp = pl.coalesce(utc, local.dt.convert_time_zone("UTC"))
        if ends:
            timestamp = timestamp - pl.duration(microseconds=interval.us)
    made = parts.select(
        timestamp.cast(_UTC).alias("timestamp"), is_read=pl.col("naive").is_not_null() | utc.is_not_null()
    )
    why = pl.when("is_read").then(pl.lit(CLOCK_CHANGE)).otherwise(pl.lit(UNREADABLE))
    return made.select("timestamp", problem=pl.when(pl.col("timestamp").is_null()).then(why))


def _parts(stamp: pl.Series, date_format: str | None = None) -> pl.DataFrame:
    """Return columns naive, utc and is_date; of the first two at most one has a value."""
    kind = stamp.dtype
    if kind == pl.String and date_format is not None:
        return _of_format(stamp, date_format)
    if date_format is not None and kind != pl.Null:
        raise ImportDataError(
            f"--date-format is {date_format!r}: expected timestamps as texts, got {kind}",
            hint="leave --date-format out",
        )
    if kind == pl.String:
        return _of_texts(stamp)
    none = pl.lit(None)
    frame = stamp.alias("stamp").to_frame()
    value = pl.col("stamp")
    if kind == pl.Date:
        return frame.select(naive=value.cast(_NAIVE), utc=none.cast(_UTC), is_date=True)
    if isinstance(kind, pl.Datetime):
        aware = kind.time_zone is not None
        naive, utc = (none, value.dt.convert_time_zone("UTC")) if aware else (value, none)
        return frame.select(naive=naive.cast(_NAIVE), utc=utc.cast(_UTC), is_date=False)
    if kind.is_numeric():
        return _of_numbers(stamp)
    if kind == pl.Null:
        return frame.select(naive=none.cast(_NAIVE), utc=none.cast(_UTC), is_date=False)
    raise ImportDataError(f"the timestamp column is of type {kind}; expected times, dates, numbers or texts")


def _of_numbers(stamp: pl.Series) -> pl.DataFrame:
    """Read whole numbers as YYYYMMDD or YYYYMMDDHHMMSS where they look so, others as an epoch in s, ms, us or ns."""
    value = pl.col("stamp")
    size = value.abs()
    factor = pl.when(size < 1e11).then(1e6).when(size < 1e14).then(1e3).when(size < 1e17).then(1.0).otherwise(1e-3)
    number = pl.col("stamp").cast(pl.Float64)
    text = value.cast(pl.Int64, strict=False).cast(pl.String)
    whole = value == value.floor() if stamp.dtype.is_float() else pl.lit(True)
    day = text.str.to_datetime("%Y%m%d", strict=False, time_unit="us")
    second = text.str.to_datetime("%Y%m%d%H%M%S", strict=False, time_unit="us")
    is_date = whole & value.is_between(19000101, 22001231) & day.is_not_null()
    is_clock = whole & value.is_between(19000101000000, 22001231235959) & second.is_not_null()
    micros = (number * factor).round(0).cast(pl.Int64, strict=False)
    exact = pl.when(whole & (factor == 1.0)).then(value.cast(pl.Int64, strict=False)).otherwise(micros)
    return (
        stamp.alias("stamp")
        .to_frame()
        .select(
            naive=pl.when(is_date).then(day).when(is_clock).then(second),
            utc=pl.when(~is_date & ~is_clock & value.is_finite()).then(exact.cast(_UTC)),
            is_date=is_date.fill_null(False),
        )
    )


def require_date_format(options: ImportOptions) -> None:
    """Raise `ImportDataError` unless the format of dates, if there is one, reads dates."""
    form = options.date_format
    if form is None:
        return
    if "%f" in form:  # which polars takes for nanoseconds, without a point before them
        raise ImportDataError(f"invalid date format: expected %.f for fractions of seconds, got {form!r}")
    moment = dt.datetime(2003, 12, 31, 22, 0, tzinfo=dt.UTC)
    try:
        read = _of_format(pl.Series([moment.strftime(_FRACTION.sub("", form))]), _FRACTION.sub("", form))
        first = read.select(pl.coalesce("naive", pl.col("utc").dt.replace_time_zone(None)).dt.date()).item()
    except pl.exceptions.PolarsError:
        first = None
    if first != moment.date():
        raise ImportDataError(
            f"invalid date format: expected directives for day, month and year, got {form!r}",
            hint="such as '%d/%m/%Y %H:%M', '%m/%d/%Y %I:%M:%S %p', '%Y-%m-%d %H:%M:%S%.f'",
        )


def _of_format(stamp: pl.Series, form: str) -> pl.DataFrame:
    """Read texts by one format alone."""
    parsed = stamp.str.strip_chars().str.to_datetime(form, strict=False, time_unit="us")
    return _parts(parsed).with_columns(is_date=pl.lit(_CLOCK.search(form) is None))


def _of_texts(stamp: pl.Series) -> pl.DataFrame:
    tidy = stamp.str.strip_chars().str.replace_all("/", "-", literal=True)
    tidy = tidy.str.replace(r"^(\S+)T", "$1 ").str.replace(r"(?i)\s*(Z|UTC)$", "+00:00")
    tidy = tidy.str.replace(r"(:\S*[+-]\d\d)$", "${1}:00")  # an offset of hours alone
    rest = pl.DataFrame({"place": pl.int_range(len(stamp), eager=True), "text": tidy}).drop_nulls("text")
    numeric = rest["text"].str.contains(r"^-?\d+(\.\d+)?$")
    numbers = rest.filter(numeric)
    found = []
    if len(numbers):
        whole = numbers["text"].cast(pl.Int64, strict=False)
        values = numbers["text"].cast(pl.Float64) if whole.null_count() else whole
        found.append(numbers.select("place").hstack(_of_numbers(values)))
        rest = rest.filter(~numeric)
    for form in _ordered(rest["text"]):
        if not len(rest):
            break
        parsed = rest["text"].str.to_datetime(form, strict=False, time_unit="us")
        good = parsed.is_not_null() & (parsed.dt.year() >= 1900) & (parsed.dt.year() <= 2200)
        if good.any():
            read = _parts(parsed.filter(good)).with_columns(is_date=pl.lit(form in _DATE_FORMATS))
            found.append(rest.filter(good).select("place").hstack(read))
            rest = rest.filter(~good)
    places = pl.DataFrame({"place": pl.int_range(len(stamp), eager=True)})
    empty = pl.DataFrame(schema={"place": pl.Int64, "naive": _NAIVE, "utc": _UTC, "is_date": pl.Boolean})
    read = places.join(pl.concat([empty, *found]), on="place", how="left", maintain_order="left")
    return read.select("naive", "utc", pl.col("is_date").fill_null(False))


def _ordered(texts: pl.Series) -> list[str]:
    """Return the formats, first the one that fits the first text: mostly it fits all."""
    formats = [*_NAIVE_FORMATS, *_DATE_FORMATS, *_AWARE_FORMATS]
    first = texts.head(1)
    fits = [bool(first.str.to_datetime(form, strict=False, time_unit="us").is_not_null().any()) for form in formats]
    return sorted(formats, key=lambda form: not fits[formats.index(form)])
