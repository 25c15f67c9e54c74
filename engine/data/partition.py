"""One partition: the rows of one kind and UTC date in a folder. Where it lies, how it is read, sorted and merged."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas  # noqa: F401 - pyarrow imports it in its first conversion, where a Ctrl-C would be lost
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mismartera.schemas.bars import BAR_SCHEMA
from mismartera.schemas.errors import CatalogError
from mismartera.schemas.interval import Interval
from mismartera.schemas.quotes import QUOTE_SCHEMA
from mismartera.schemas.ticks import TICK_SCHEMA

from .seal import DamagedError, check_chunks, read_seal

PART_FILE = "part-0.parquet"
"""The one file this package leaves in a partition."""
EVENT_KINDS = ("ticks", "quotes")
"""Kinds that are no bars: several rows of one symbol and instant are genuine."""
SORTING = (pq.SortingColumn(0), pq.SortingColumn(1))
"""Written to each file's metadata: it is sorted by symbol and timestamp, so a reader need not sort it again."""

_SYMBOL = pa.dictionary(pa.int32(), pa.string())


def normal_kind(kind: str) -> str:
    """Return ``"ticks"``, ``"quotes"`` or an interval's normal text; raises `IntervalError` for anything else."""
    return kind if kind in EVENT_KINDS else Interval(kind).text


def schema_of(kind: str) -> pa.Schema:
    """Return the schema rows of a kind are stored in."""
    return {"ticks": TICK_SCHEMA, "quotes": QUOTE_SCHEMA}.get(kind, BAR_SCHEMA)


def read_schema(kind: str) -> pa.Schema:
    """Return the schema rows of a kind are read in: as stored, the symbols as ``dictionary<int32, string>``."""
    return schema_of(kind).set(0, pa.field("symbol", _SYMBOL, nullable=False))


def kind_folder(root: Path, kind: str) -> Path:
    """Return the folder that holds the partitions of a kind."""
    return root / kind if kind in EVENT_KINDS else root / "bars" / f"interval={kind}"


def partition_folder(root: Path, kind: str, day: dt.date) -> Path:
    """Return the folder of the rows of `kind` on a UTC date."""
    return kind_folder(root, kind) / f"date={day.isoformat()}"


def data_files(folder: Path) -> list[Path]:
    """Return the Parquet files of a partition, ascending by name; hidden ones and ``_metadata`` are not data."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".parquet" and path.name[0] not in "._")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise CatalogError(f"{folder}: cannot be listed: {error.strerror}", path=folder) from error


def read_partition(folder: Path, kind: str, symbols: Collection[str] | None = None) -> pa.Table | None:
    """Read the rows of a partition, sorted by symbol and timestamp.

    Parameters
    ----------
    folder : Path
    kind : str
    symbols : collection of str, optional
        Row groups that hold none of them are skipped; rows of others may still be among those returned.

    Returns
    -------
    pyarrow.Table or None
        In `read_schema`; None where there is no file.

    Raises
    ------
    CatalogError
        If a file is truncated or corrupt, lacks a column, or has one of another type or with empty cells.

    Notes
    -----
    A partition this package wrote is one sorted file, returned as decoded: 195,000 bars take about 5 ms.
    Where others added files, rows are merged by key (`merge`), ``part-0.parquet`` winning: after a write that was
    cut short between its last two moves it is the one that already holds what the others have.
    """
    files = data_files(folder)
    if not files:
        return None
    if len(files) == 1:
        table, is_sorted = _read_file(files[0], kind, symbols)
        return table if is_sorted else sort_rows(table)
    files.sort(key=lambda path: (path.name == PART_FILE, path.name))
    merged = _read_file(files[0], kind, symbols)[0]
    for path in files[1:]:
        merged = merge(merged, _read_file(path, kind, symbols)[0], kind)[0]
    return sort_rows(merged)


class PartitionFile(pq.ParquetFile):  # type: ignore[misc]
    """An open Parquet file of the catalog, mapped into memory.

    Attributes
    ----------
    seal : tuple of int or None
        Checksums of its column chunks; None for a file of another program, whose page checksums are checked instead
        where it has them.
    """

    def __init__(self, path: Path, read_dictionary: Sequence[str] = ()) -> None:
        self._mapped = pa.memory_map(str(path))
        self.seal = read_seal(self._mapped)
        super().__init__(
            self._mapped,
            read_dictionary=list(read_dictionary),
            pre_buffer=False,
            page_checksum_verification=self.seal is None,
        )

    def check(self, groups: Sequence[int] | None = None, columns: Sequence[str] | None = None) -> None:
        """Raise `DamagedError` unless some column chunks, by default all, fit their checksums."""
        if self.seal is not None:
            check_chunks(self._mapped, self.metadata, self.seal, groups, columns)


def open_file(path: Path) -> PartitionFile:
    """Open a Parquet file of the catalog; raises `CatalogError` if it is none, or its footer is damaged."""
    try:
        try:
            return PartitionFile(path, ["symbol"])
        except KeyError:  # it has no such column, which `read_columns` tells whoever needs it
            return PartitionFile(path)
    except (pa.ArrowException, OSError, DamagedError) as error:
        raise _unreadable(path, error) from error


def check_file(path: Path) -> None:
    """Raise `CatalogError` unless all bytes of a file fit its checksums, as far as it has any.

    Notes
    -----
    0.4 ms a megabyte: for readers that do not go through `read_columns`, such as DuckDB.
    """
    file = open_file(path)
    try:
        file.check()
    except DamagedError as error:
        raise _unreadable(path, error) from error


def read_columns(file: PartitionFile, path: Path, groups: Sequence[int] | None, columns: Sequence[str]) -> pa.Table:
    """Read columns of an open file, of some of its row groups or of all, in the order named; checksums are checked.

    One thread decodes: Arrow's pool keeps what each decoding thread once needed, and several of them cost a session a
    quarter of its peak memory for a tenth of its time.
    """
    missing = [name for name in columns if name not in file.schema_arrow.names]
    if missing:
        raise CatalogError(
            f"{path}: expected columns {', '.join(columns)}; it lacks {', '.join(missing)}",
            path=path,
            hint="move the file out of the catalog, or rewrite it with the columns the catalog documents",
        )
    try:
        file.check(groups, columns)
        if groups is None:
            return file.read(list(columns), use_threads=False).select(list(columns))
        return file.read_row_groups(list(groups), list(columns), use_threads=False).select(list(columns))
    except (pa.ArrowException, OSError, DamagedError) as error:
        raise _unreadable(path, error) from error


def groups_with(file: pq.ParquetFile, symbols: Collection[str]) -> list[int]:
    """Return the row groups that may hold one of `symbols`, by the statistics of their symbol column."""
    place = file.schema_arrow.get_field_index("symbol")
    kept = []
    for group in range(file.metadata.num_row_groups):
        # Only top-level columns are ever stored, so the field's index is the column's.
        statistics = file.metadata.row_group(group).column(place).statistics if place >= 0 else None
        if statistics is not None and statistics.has_min_max:
            low, high = statistics.min, statistics.max
            if not any(low <= symbol <= high for symbol in symbols):
                continue
        kept.append(group)
    return kept


def timestamp_span(path: Path) -> tuple[int, int] | None:
    """Return the first and last timestamp of a file, UTC microseconds, from its footer where that tells them."""
    file = open_file(path)
    place = file.schema_arrow.get_field_index("timestamp")
    groups = [file.metadata.row_group(group) for group in range(file.metadata.num_row_groups)]
    found = [group.column(place).statistics for group in groups] if place >= 0 else []
    told = [one for one in found if one is not None and one.has_min_max]
    if place >= 0 and len(told) == len(groups):
        ends = pa.array([end for one in told for end in (one.min, one.max)], file.schema_arrow.field(place).type)
    else:
        ends = read_columns(file, path, None, ["timestamp"]).column("timestamp")
    limits = pc.min_max(ends.cast(BAR_SCHEMA.field("timestamp").type).cast(pa.int64())).as_py()
    return None if limits["min"] is None else (limits["min"], limits["max"])


def _read_file(path: Path, kind: str, symbols: Collection[str] | None) -> tuple[pa.Table, bool]:
    file = open_file(path)
    groups = None if symbols is None else groups_with(file, symbols)
    table = conform(read_columns(file, path, groups, schema_of(kind).names), kind, path)
    is_sorted = file.metadata.num_row_groups == 0 or file.metadata.row_group(0).sorting_columns == SORTING
    return table, is_sorted


def conform(table: pa.Table, kind: str, path: object) -> pa.Table:
    """Return `table` in `read_schema`, with one dictionary of symbols; columns that fit already are not copied."""
    schema = read_schema(kind)
    for field in schema:
        empty = 0 if field.nullable else table.column(field.name).null_count
        if empty:
            raise CatalogError(f"{path}: column {field.name} has {empty} empty cells; it may have none", path=path)
    try:
        return (table if table.schema == schema else table.cast(schema)).unify_dictionaries()
    except (pa.ArrowException, ValueError) as error:
        wrong = [f"{f.name} is {table.schema.field(f.name).type}, not {f.type}" for f in schema_of(kind)]
        fits = [f.type == table.schema.field(f.name).type for f in schema_of(kind)]
        told = "; ".join(text for text, same in zip(wrong, fits, strict=True) if not same)
        raise CatalogError(f"{path}: column types do not fit: {told} ({error})", path=path) from error


def timestamps_us(table: pa.Table) -> NDArray[np.int64]:
    """Return the timestamps as int64 microseconds; a view where the column is one chunk."""
    chunks = table.column("timestamp").chunks
    views: list[NDArray[np.int64]] = [chunk.view(pa.int64()).to_numpy(zero_copy_only=True) for chunk in chunks]
    if len(views) == 1:
        return views[0]
    return np.concatenate(views) if views else np.empty(0, np.int64)


def symbol_ranks(table: pa.Table) -> NDArray[np.int32]:
    """Return each row's place of its symbol in the order of symbols; needs one dictionary, as `read_schema` has."""
    chunks = table.column("symbol").chunks
    if not chunks:
        return np.empty(0, np.int32)
    names = chunks[0].dictionary.to_pylist()
    rank = np.empty(len(names), np.int32)
    rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names), dtype=np.int32)
    codes: NDArray[np.int32] = np.concatenate([chunk.indices.to_numpy(zero_copy_only=True) for chunk in chunks])
    return rank[codes]


def sort_rows(table: pa.Table) -> pa.Table:
    """Sort by symbol and timestamp, keeping the order of equal rows; rows already so are returned as they are."""
    rank, stamp = symbol_ranks(table), timestamps_us(table)
    if len(rank) < 2:
        return table
    same = rank[1:] == rank[:-1]
    if np.all((rank[1:] > rank[:-1]) | (same & (stamp[1:] >= stamp[:-1]))):
        return table
    return take(table, np.lexsort((stamp, rank)))


def take(table: pa.Table, rows: NDArray[Any]) -> pa.Table:
    """Return the rows at these places, or those of a mask, each column in one chunk."""
    whole = table.combine_chunks()
    return whole.filter(pa.array(rows)) if rows.dtype == np.bool_ else whole.take(pa.array(rows))


def concat(tables: Sequence[pa.Table]) -> pa.Table:
    """Put tables of `read_schema` one after the other, with one dictionary of symbols."""
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables).unify_dictionaries()


def merge(old: pa.Table, new: pa.Table, kind: str) -> tuple[pa.Table, int, int]:
    """Put `new` over `old`, both in `read_schema` and unique by key.

    The key of a bar is symbol and timestamp. That of a tick or quote is its whole row and which occurrence of it in
    its table this is, so the same rows once more add nothing, and trades that are alike but genuine all stay.

    Returns
    -------
    table : pyarrow.Table
        Sorted, unique by key, a row of `new` winning; `old` itself if nothing changes.
    added, replaced : int
        Rows of `new` whose key `old` lacks, and those whose key it has with other values.
    """
    rows = concat([old, new])
    return _merge_events(rows, old) if kind in EVENT_KINDS else _merge_bars(rows, old)


def _merge_bars(rows: pa.Table, old: pa.Table) -> tuple[pa.Table, int, int]:
    rank, stamp = symbol_ranks(rows), timestamps_us(rows)
    order = np.lexsort((stamp, rank))  # stable: of two rows of one key, that of `new` comes last
    rank, stamp = rank[order], stamp[order]
    pairs = np.flatnonzero((rank[1:] == rank[:-1]) & (stamp[1:] == stamp[:-1]))
    before, after = order[pairs], order[pairs + 1]
    changed = np.zeros(len(pairs), np.bool_)
    for name in rows.schema.names[2:]:
        values = rows.column(name).to_numpy()
        changed |= values[before] != values[after]
    added, replaced = rows.num_rows - old.num_rows - len(pairs), int(changed.sum())
    if not added and not replaced:
        return old, 0, 0
    keep = np.ones(len(order), np.bool_)
    keep[pairs] = False
    return take(rows, order[keep]), added, replaced


def _merge_events(rows: pa.Table, old: pa.Table) -> tuple[pa.Table, int, int]:
    import polars as pl

    columns = [name for name in rows.schema.names if name != "symbol"]
    frame = pl.DataFrame({"symbol": symbol_ranks(rows), **{name: pl.from_arrow(rows[name]) for name in columns}})
    frame = frame.with_columns(is_new=pl.int_range(pl.len()) >= old.num_rows)
    frame = frame.with_columns(occurrence=pl.int_range(pl.len()).over("is_new", "symbol", *columns))
    first = frame.select(first=pl.struct("symbol", *columns, "occurrence").is_first_distinct())["first"]
    added = int(first.sum()) - old.num_rows
    return (sort_rows(take(rows, first.to_numpy())), added, 0) if added else (old, 0, 0)


def _unreadable(path: Path, error: Exception) -> CatalogError:
    if isinstance(error, FileNotFoundError | PermissionError):
        return CatalogError(f"{path}: cannot be read: {error.strerror}", path=path)
    what = "damaged" if isinstance(error, DamagedError) else "not a whole Parquet file"
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return CatalogError(
        f"{path}: {what}: {reason}",
        path=path,
        hint="delete the file and import its source again; 'mismartera data verify' finds every damaged file",
    )
