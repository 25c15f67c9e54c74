"""Answers of queries: as a table to read, or as csv, json, parquet or arrow for other programs."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import click

from mismartera.engine.files.atomic import replacing
from mismartera.schemas.errors import UnknownNameError

from .answer_columns import json_text, json_value, plain
from .chart import bar_chart
from .console import say, table

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("table", "csv", "json", "parquet", "arrow")
_BINARY = ("parquet", "arrow")
_SHOWN_ROWS = 200
_CSV_ROWS = 65_536
_WIDEST = 1e16  # from here on the shortest text of a number has an exponent


def write_answer(answer: pa.Table, form: str, output: Path | None) -> None:
    """Write an answer to a file, or to standard output.

    Parameters
    ----------
    answer : pyarrow.Table
    form : str
        One of `FORMATS`; "" takes it from the file's suffix, else ``table``.
    output : Path or None
        Appears whole or stays as it was.

    Raises
    ------
    QueryError
        If the form cannot hold the answer.

    Notes
    -----
    Of columns of one name the later get a number in every form: ``symbol``, ``symbol_1``. Durations are texts such as
    ``00:01:00``, but in Arrow, which has them; lists, structs and maps are JSON in csv.
    """
    form = form or _form_of(output)
    if output is None:
        if form in _BINARY and sys.stdout.isatty():
            raise click.UsageError(f"{form} is not for a terminal: name a file with -o, or pipe it on")
        if form == "table":
            show_answer(answer)
        else:
            _write(form, answer, sys.stdout.buffer)
        return
    if form == "table":
        raise click.UsageError("a table is for reading: write csv, json, parquet or arrow to a file")
    try:
        with _aside(output) as file:
            _write(form, answer, file)
    except OSError as error:
        raise click.FileError(str(output), error.strerror or str(error)) from error


def show_answer(answer: pa.Table) -> None:
    """Print an answer as a table, its first 200 rows."""
    if answer.schema.names == ["explain_key", "explain_value"]:
        say("\n".join(answer.column("explain_value").to_pylist()))
        return
    with _refusals("table"):
        shown = plain(answer.slice(0, _SHOWN_ROWS), "table")
        columns = [[_text(value) for value in column.to_pylist()] for column in shown.columns]
    sides = ["right" if _is_number(field.type) else "left" for field in shown.schema]
    rows = list(zip(*columns, strict=True))
    table("", shown.schema.names, rows, cast(Any, sides))
    count = f"{answer.num_rows:,} row{'' if answer.num_rows == 1 else 's'}"
    more = f", the first {_SHOWN_ROWS} shown" if answer.num_rows > _SHOWN_ROWS else ""
    say(f"({count}{more})")


def plot_answer(answer: pa.Table, column: str) -> None:
    """Print a bar chart of a column; the other columns' texts stand before the bars."""
    with _refusals("table"):
        answer = plain(answer, "table")
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
            if abs(value) >= _WIDEST:
                return repr(value)
            return f"{value:,.4f}".rstrip("0").rstrip(".") if abs(value) >= 1e-3 or value == 0 else f"{value:.4g}"
        case dt.datetime():
            return value.replace(tzinfo=None).isoformat(" ", "milliseconds" if value.microsecond else "seconds")
        case list() | dict() | tuple() | bytes():
            return json_text(value)
        case _:
            return str(value)


@contextmanager
def _aside(output: Path) -> Iterator[IO[bytes]]:
    """Open a partial file that takes the target's place once it is whole; a pipe or a device is written as it is."""
    if output.exists() and not output.is_file():
        with output.open("wb") as file:
            yield file
        return
    with replacing(output.resolve()) as file:
        yield file


@contextmanager
def _refusals(form: str) -> Iterator[None]:
    """Turn what a library cannot write in a form into one line."""
    import polars as pl
    import pyarrow as pa

    from mismartera.sql.errors import QueryError

    try:
        yield
    except (pa.ArrowException, pl.exceptions.PolarsError, ArithmeticError, TypeError, ValueError) as error:
        if isinstance(error, QueryError):
            raise
        raise QueryError(
            f"{form} cannot hold the answer: {str(error).splitlines()[0]}", hint="CAST(column AS VARCHAR) makes a text"
        ) from error


def _write(form: str, answer: pa.Table, file: IO[bytes]) -> None:
    with _refusals(form):
        _WRITERS[form](plain(answer, form), file)


def _write_csv(answer: pa.Table, file: IO[bytes]) -> None:
    import polars as pl

    rows = pl.DataFrame(pl.from_arrow(answer))
    file.write(rows.clear().write_csv().encode())
    # Written from here, not by Polars: a pipe that was closed is an error of its own kind only in Python.
    for part in rows.iter_slices(_CSV_ROWS):
        text = part.write_csv(include_header=False, datetime_format="%Y-%m-%dT%H:%M:%S%.6f%:z")
        file.write(text.encode())


def _write_json(answer: pa.Table, file: IO[bytes]) -> None:
    import orjson

    file.write(b"[")
    for place, row in enumerate(answer.to_pylist()):
        file.write((b",\n" if place else b"\n") + orjson.dumps(row, default=json_value))
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
