"""CSV sources: plain, gzipped or zipped, with a header or without; which of our columns stands where."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from mismartera.schemas.errors import ImportDataError

from .csv_records import CsvRecords
from .members import open_members, readable
from .options import OPTIONAL, ImportOptions, match_columns, require_columns, require_own
from .stamps import resolve

SUFFIXES = (".csv", ".txt", ".tsv", ".gz", ".zip")
ZONE = "UTC"
_TEXTS = ("symbol", "timestamp", "date", "time", "exchange")
_THOUSANDS = r"^[+-]?\d{1,3}(,\d{3})+(\.\d*)?$"


def select(paths: list[Path], options: ImportOptions) -> list[Path]:
    """Return all the files."""
    return paths


def read(path: Path, options: ImportOptions) -> Iterator[pl.DataFrame]:
    """Read a file as frames that `validate` takes: ``source, row, symbol`` and our columns, all texts.

    Raises
    ------
    ImportDataError
        If the file is truncated, empty, or its columns cannot be told.
    """
    with readable(path):
        for label, stream in open_members(path):
            records = CsvRecords(label, stream, options.delimiter)
            layout = Layout.found(label, records.first, options)
            skipped = layout.header is not None
            for frame in records.frames():
                yield layout.pick(frame.slice(1) if skipped else frame, label, options, records)
                skipped = False


@dataclass(frozen=True, slots=True)
class Layout:
    """Which of our columns stands where, and the header, if the file has one."""

    places: dict[str, int]
    header: Sequence[str] | None

    @classmethod
    def found(cls, label: str, first: Sequence[str], options: ImportOptions) -> Layout:
        """Find out the layout from the first record, as far as the options leave it open."""
        has_header = bool(first) and not any(_is_number(cell) or _is_stamp(cell, options) for cell in first)
        if options.positions or not has_header:
            if options.names or options.ignored:
                raise ImportDataError(
                    f"{label}: --columns gives names, but the file has no header; first line {','.join(first)[:80]!r}",
                    path=label,
                    hint='give positions: --columns "' + ",".join(options.fields) + '"',
                )
            columns = options.positions or _guessed(first, options, label)
            places = {ours: place for place, ours in enumerate(columns) if ours != "-"}
            require_columns({ours: ours for ours in places}, options, label, columns)
            if len(columns) > len(first):
                raise _misfit(label, first, columns)
        else:
            places = {ours: first.index(theirs) for ours, theirs in match_columns(first, options, label).items()}
        return cls(places, first if has_header else None)

    def pick(self, frame: pl.DataFrame, label: str, options: ImportOptions, records: CsvRecords) -> pl.DataFrame:
        """Return our columns of some records; ``misfit`` says why one cannot be split."""
        cells = {ours: pl.col(f"field_{place}") for ours, place in self.places.items()}
        misfit = pl.format("too many fields: '{}'", "misfit")  # null where `misfit` is
        if records.has_quotes:
            cells = {ours: cell.str.strip_chars().str.strip_chars('"') for ours, cell in cells.items()}
            breaks = [cell.str.contains("\n", literal=True).fill_null(False) for cell in cells.values()]
            line = pl.concat_str([cell.fill_null("") for cell in cells.values()], separator=records.delimiter)
            broken = pl.when(pl.any_horizontal(breaks)).then(pl.format("line break in a value: '{}'", line))
            misfit = pl.coalesce(misfit, broken)
            if records.delimiter == ",":
                cells |= {ours: _without_thousands(frame, cell) for ours, cell in cells.items() if ours not in _TEXTS}
        if "date" in cells:
            day, time = cells.pop("date"), cells.pop("time", pl.lit(""))
            cells["timestamp"] = (day + " " + time).str.strip_chars()
        if "symbol" in cells:
            place = self.places["symbol"]
            column = self.places if self.header is None or options.positions else self.header[place]
            require_own(frame.select(cells["symbol"]).to_series(), options, label, column)
        else:
            cells["symbol"] = pl.lit(options.symbol, dtype=pl.String)
        for ours in options.fields:
            cells.setdefault(ours, pl.lit(None, dtype=pl.String))
        columns = [cells[ours].alias(ours) for ours in ["symbol", *options.fields]]
        return frame.select(pl.lit(label).alias("source"), "row", *columns, misfit.alias("misfit"))


def _without_thousands(frame: pl.DataFrame, cell: pl.Expr) -> pl.Expr:
    """Return a column of numbers without the commas of ``"1,200"``.

    Where any value has a comma in another place, such as ``"1,5"``, commas may be decimal ones and all are kept.
    """
    commas = frame.select(cell.alias("value")).filter(pl.col("value").str.contains(",", literal=True))["value"]
    if len(commas) and commas.str.contains(_THOUSANDS).all():
        return cell.str.replace_all(",", "", literal=True)
    return cell


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "") if re.match(_THOUSANDS, cell) else cell)
    except ValueError:
        return False
    return True


def _is_stamp(cell: str, options: ImportOptions) -> bool:
    """Return whether a text is a time after 1980: a small number is rather a price than seconds since 1970."""
    anywhere = replace(options, tz="UTC")  # an hour that the exchange's clocks skip is a time all the same
    stamp = resolve(pl.Series([cell]), anywhere)["timestamp"][0]
    return stamp is not None and stamp.year >= 1980


def _guessed(cells: Sequence[str], options: ImportOptions, label: str) -> list[str]:
    """Return our columns by position for a file without a header."""
    fields = options.fields
    for body in (fields, [name for name in fields if name not in OPTIONAL]):
        extra = len(cells) - len(body)
        rest = body[1:]
        if extra == 0 and _is_stamp(cells[0], options):
            return body
        if extra == 1 and _is_stamp(f"{cells[0]} {cells[1]}", options):
            return ["date", "time", *rest]
        if extra == 1 and not _is_stamp(cells[0], options) and _is_stamp(cells[1], options):
            return ["symbol", *body]
        if extra == 1 and _is_stamp(cells[0], options) and not _is_number(cells[1]):
            return ["timestamp", "symbol", *rest]
        if extra == 2 and _is_stamp(f"{cells[1]} {cells[2]}", options):
            return ["symbol", "date", "time", *rest]
    raise _misfit(label, cells, fields)


def _misfit(label: str, cells: Sequence[str], fields: Sequence[str]) -> ImportDataError:
    return ImportDataError(
        f"{label}: the file has no header and {len(cells)} columns, first line {','.join(cells)[:80]!r}; "
        f"expected {len(fields)}: {', '.join(fields)}",
        path=label,
        hint=f'say what they are with --columns "{",".join(fields)}" (- for one to ignore); check --delimiter',
    )
