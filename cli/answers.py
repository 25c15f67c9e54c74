"""Answers of queries: as a table to read, or as csv, json, parquet or arrow for other programs."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import click

from mismartera.schemas.errors import UnknownNameError

from .chart import bar_chart
from .console import say, table

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("table", "csv", "json", "parquet", "arrow")
_BINARY = ("parquet", "arrow")
_SHOWN_ROWS = 200


def write_answer(answer: pa.Table, form: str, output: Path | None) -> None:
    """Write an answer to a file, or to standard output.

    Parameters
    ----------
    answer : pyarrow.Table
    form : str
        One of `FORMATS`; "" takes it from the file's suffix, else ``table``.
    output : Path or None
    """
    form = form or _form_of(output)
    if output is None:
        if form in _BINARY and sys.stdout.isatty():
            raise click.UsageError(f"{form} is not for a terminal: name a file with -o, or pipe it on")
        if form == "table":
            show_answer(answer)
        else:
            _WRITERS[form](answer, sys.stdout.buffer)
        return
    if form == "table":
        raise click.UsageError("a table is for reading: write csv, json, parquet or arrow to a file")
    try:
        with output.open("wb") as file:
            _WRITERS[form](answer, file)
    except OSError as error:
        raise click.FileError(str(output), error.strerror or str(error)) from error


def show_answer(answer: pa.Table) -> None:
    """Print an answer as a table, its first 200 rows."""
    if answer.schema.names == ["explain_key", "explain_value"]:
        say("\n".join(answer.column("explain_value").to_pylist()))
        return
    shown = answer.slice(0, _SHOWN_ROWS)
    columns = [[_text(value) for value in column.to_pylist()] for column in shown.columns]
    sides = ["right" if _is_number(field.type) else "left" for field in answer.schema]
    rows = list(zip(*columns, strict=True))
    table("", answer.schema.names, rows, cast(Any, sides))
    count = f"{answer.num_rows:,} row{'' if answer.num_rows == 1 else 's'}"
    more = f", the first {_SHOWN_ROWS} shown" if answer.num_rows > _SHOWN_ROWS else ""
    say(f"({count}{more})")


def plot_answer(answer: pa.Table, column: str) -> None:
    """Print a bar chart of a column; the other columns' texts stand before the bars."""
    names = answer.schema.names
    numbers = [field.name for field in answer.schema if _is_number(field.type)]
    if column not in numbers:
        raise UnknownNameError("column of numbers", column, numbers)
    others = [answer.column(name).to_pylist() for name in names if name != column and name not in numbers]
    labels = [" ".join(_text(value) for value in row) for row in zip(*others, strict=True)]
    values = [None if value is None else float(value) for value in answer.column(column).to_pylist()]
    for line in bar_chart(labels or [str(place) for place in range(1, len(values) + 1)], values, column):
        say(line)


def _form_of(output: Path | None) -> str:
    if output is None:
        return "table"
    suffix = output.suffix.removeprefix(".").replace("arrows", "arrow")
    if suffix not in FORMATS:
        raise UnknownNameError("format", suffix, FORMATS, hint="say it with --format, or by the file's suffix")
    return suffix


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _text(value: object) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int() | Decimal():
            return f"{value:,}"
        case float():
            return f"{value:,.4f}".rstrip("0").rstrip(".") if abs(value) >= 1e-3 or value == 0 else f"{value:.4g}"
        case dt.datetime():
            return value.replace(tzinfo=None).isoformat(" ", "milliseconds" if value.microsecond else "seconds")
        case _:
            return str(value)


def _write_csv(answer: pa.Table, file: IO[bytes]) -> None:
    import polars as pl

    pl.DataFrame(pl.from_arrow(answer)).write_csv(file, datetime_format="%Y-%m-%dT%H:%M:%S%.6f%:z")


def _write_json(answer: pa.Table, file: IO[bytes]) -> None:
    import orjson

    file.write(b"[")
    for place, row in enumerate(answer.to_pylist()):
        file.write((b",\n" if place else b"\n") + orjson.dumps(row, default=str))
    file.write(b"\n]\n")


def _write_parquet(answer: pa.Table, file: IO[bytes]) -> None:
    import pyarrow.parquet as pq

    pq.write_table(answer, file)


def _write_arrow(answer: pa.Table, file: IO[bytes]) -> None:
    import pyarrow.ipc

    with pyarrow.ipc.new_stream(file, answer.schema) as stream:
        stream.write_table(answer)


_WRITERS: dict[str, Callable[[pa.Table, IO[bytes]], None]] = {
    "csv": _write_csv,
    "json": _write_json,
    "parquet": _write_parquet,
    "arrow": _write_arrow,
}
