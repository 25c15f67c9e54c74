"""Columns of answers as a form can hold them: names of their own, durations and bytes as texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def plain(answer: pa.Table, form: str) -> pa.Table:
    """Return an answer with names of its own for all columns, and with the types a form has."""
    names = _own_names(answer.schema.names)
    columns = [_plain_column(*named, form) for named in zip(names, answer.columns, strict=True)]
    return type(answer).from_arrays(columns, names=names)


def _own_names(names: list[str]) -> list[str]:
    """Return column names, later ones that equal an earlier one with a number, as DuckDB gives it to them."""
    taken, own = set(names), set[str]()
    for place, name in enumerate(names):
        number = 1
        while names[place] in own:
            if (candidate := f"{name}_{number}") not in taken:
                names[place] = candidate
            number += 1
        own.add(names[place])
        taken.add(names[place])
    return names


def _plain_column(name: str, column: pa.ChunkedArray, form: str) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as types

    kind = column.type
    if form == "arrow":
        return column
    if types.is_interval(kind):
        return _texts(column, _duration)
    if form == "parquet":
        return column
    if types.is_timestamp(kind) or types.is_date(kind):
        _check_calendar(name, column, form)
    if types.is_timestamp(kind) and kind.unit == "ns":
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    if form == "csv" and types.is_timestamp(kind) and kind.tz is None:
        return pc.strftime(column, "%Y-%m-%dT%H:%M:%S")
    if types.is_binary(kind):
        return _texts(column, _escaped)
    return _texts(column, json_text) if form == "csv" and types.is_nested(kind) else column


def _texts(column: pa.ChunkedArray, text: Callable[[Any], str]) -> pa.ChunkedArray:
    import pyarrow as pa

    return pa.chunked_array([[None if value is None else text(value) for value in column.to_pylist()]], pa.string())


def _check_calendar(name: str, column: pa.ChunkedArray, form: str) -> None:
    import pyarrow.compute as pc

    from mismartera.sql.errors import QueryError

    try:
        pc.min_max(column).as_py()
    except (OverflowError, ValueError) as error:
        raise QueryError(
            f"{form} cannot hold column {name!r}: expected years 1 to 9999, it has others or infinity",
            hint=f'CAST("{name}" AS VARCHAR) makes a text',
        ) from error


def _duration(value: Any) -> str:
    """Return a duration as DuckDB writes it: ``00:01:00``, ``1 year 2 days 00:00:00.5``."""
    sign = -1 if value.months < 0 else 1
    years, months = divmod(abs(value.months), 12)
    counts = ((sign * years, "year"), (sign * months, "month"), (value.days, "day"))
    parts = [f"{count} {unit}{'' if abs(count) == 1 else 's'}" for count, unit in counts if count]
    seconds, rest = divmod(abs(value.nanoseconds), 1_000_000_000)
    if value.nanoseconds or not parts:
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        fraction = f".{rest:09}".rstrip("0") if rest else ""
        parts.append(f"{'-' if value.nanoseconds < 0 else ''}{clock}{fraction}")
    return " ".join(parts)


def _escaped(value: bytes) -> str:
    return "".join(chr(one) if 32 <= one < 127 and one != 92 else f"\\x{one:02X}" for one in value)


def json_text(value: object) -> str:
    """Return a value as JSON."""
    import orjson

    return orjson.dumps(value, default=json_value).decode()


def json_value(value: object) -> str:
    """Return what JSON has no type for as a text."""
    if isinstance(value, bytes):
        return _escaped(value)
    return _duration(value) if hasattr(value, "nanoseconds") else str(value)
