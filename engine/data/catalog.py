"""`Catalog`: bars, ticks and quotes on disk, as plain Hive-partitioned Parquet that other tools read as it is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mismartera.schemas.errors import CatalogError, MismarteraError
from mismartera.schemas.interval import Interval

from .partition import (
    EVENT_KINDS,
    concat,
    data_files,
    groups_with,
    kind_folder,
    normal_kind,
    open_file,
    partition_folder,
    read_columns,
    read_partition,
    read_schema,
    symbol_ranks,
    take,
    timestamp_span,
    timestamps_us,
)
from .upsert import UpsertSummary, upsert

if TYPE_CHECKING:
    import polars as pl

_DAY_US = 86_400_000_000
_EPOCH = dt.date(1970, 1, 1).toordinal()
_PROBED_DAYS = 1000


class Catalog:
    """A folder of Parquet partitions, one per kind and UTC date.

    Parameters
    ----------
    root : str or Path
        The catalog's folder. Nothing is read or made until it is asked for.

    Notes
    -----
    The layout is ``bars/interval=1m/date=2025-07-02/part-0.parquet``, ``ticks/date=…``, ``quotes/date=…``; a file
    is sorted by symbol and timestamp. A catalog holds no state of its own, so threads may share it, and it may be
    read while it is written to: a partition changes in one rename.

    Examples
    --------
    >>> Catalog("no/such/folder").kinds()
    []
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def __repr__(self) -> str:
        return f"Catalog({str(self.root)!r})"

    def read(self, kind: str, start_us: int, stop_us: int, symbols: Sequence[str] | None = None) -> pa.Table:
        """Read the rows of a kind in ``[start_us, stop_us)``.

        Parameters
        ----------
        kind : str
            ``"ticks"``, ``"quotes"`` or a bar interval such as ``"1m"``.
        start_us, stop_us : int
            Microseconds since the epoch, UTC. A daily bar counts by its date at 00:00 UTC.
        symbols : sequence of str, optional
            Those wanted; by default all.

        Returns
        -------
        pyarrow.Table
            Sorted by symbol and timestamp; the stored columns, symbols as ``dictionary<int32, string>`` with one
            dictionary for all chunks. Empty where nothing is stored.

        Raises
        ------
        CatalogError
            If a file is truncated or corrupt or has other columns.

        Notes
        -----
        Only the dates of the range are looked at. Rows are copied only where some of a partition fall outside what
        is wanted, or where several dates must be merged: a whole date is returned as decoded.
        """
        kind = normal_kind(kind)
        wanted = None if symbols is None else set(symbols)
        parts = []
        for day in self._days_between(kind, start_us, stop_us):
            table = read_partition(partition_folder(self.root, kind, day), kind, wanted)
            if table is not None:
                table = _within(table, start_us, stop_us, wanted)
                if table.num_rows:
                    parts.append(table)
        if not parts:
            return read_schema(kind).empty_table()
        return parts[0] if len(parts) == 1 else _by_symbol(concat(parts))

    def exists(self) -> bool:
        """Return whether the folder holds at least one partition."""
        return bool(self.kinds())

    def require(self) -> None:
        """Raise `CatalogError` unless the catalog exists."""
        if not self.exists():
            found = "is empty" if self.root.is_dir() else "does not exist"
            raise CatalogError(
                f"no catalog at {self.root}: the folder {found}",
                path=self.root,
                hint="fill one with 'mismartera data import FILE --format csv --interval 1m' or 'mismartera data "
                "generate', or name another with --catalog DIR or MISMARTERA_CATALOG",
            )

    def kinds(self) -> list[str]:
        """Return what is stored: bar intervals ascending, then ``"ticks"`` and ``"quotes"``."""
        intervals = []
        for folder in _folders(self.root / "bars", "interval="):
            try:
                intervals.append(Interval(folder))
            except MismarteraError:
                continue  # a folder of somebody else's, not a partition of bars
        kinds = [interval.text for interval in sorted(intervals)] + list(EVENT_KINDS)
        return [kind for kind in kinds if self.dates(kind)]

    def dates(self, kind: str) -> list[dt.date]:
        """Return the dates stored of a kind, ascending; from folder names alone."""
        days = []
        for text in _folders(kind_folder(self.root, normal_kind(kind)), "date="):
            try:
                days.append(dt.date.fromisoformat(text))
            except ValueError:
                continue  # likewise somebody else's
        return sorted(days)

    def span(self, kind: str, date: dt.date) -> tuple[int, int] | None:
        """Return the first and last timestamp of a partition, UTC microseconds, None if it has no rows.

        Notes
        -----
        Reads the footers of its files, 0.1 ms each; the column of one whose footer does not tell. Raises
        `CatalogError` if a file cannot be read.
        """
        files = data_files(partition_folder(self.root, normal_kind(kind), date))
        spans = [span for span in map(timestamp_span, files) if span is not None]
        return (min(first for first, _ in spans), max(last for _, last in spans)) if spans else None

    def has(self, kind: str, start_date: dt.date, stop_date: dt.date) -> bool:
        """Return whether any partition of `kind` lies in ``[start_date, stop_date)``."""
        return any(start_date <= day < stop_date for day in self.dates(kind))

    def symbols(self, kind: str) -> list[str]:
        """Return the distinct symbols stored of a kind, ascending. Reads the symbol column of every partition."""
        found: set[str] = set()
        for path in self._files(normal_kind(kind)):
            found |= _symbols_in(path, None)
        return sorted(found)

    def find_symbols(self, wanted: Sequence[str], kinds: Sequence[str]) -> set[str]:
        """Return which of the `wanted` symbols occur in any of `kinds`; stops reading once all are found."""
        missing = set(wanted)
        for kind in kinds:
            for path in self._files(normal_kind(kind)):
                if not missing:
                    return set(wanted)
                missing -= _symbols_in(path, missing)
        return set(wanted) - missing

    def summary(self) -> pl.DataFrame:
        """Return what is stored, per kind and symbol.

        Returns
        -------
        polars.DataFrame
            ``kind, symbol: str; rows, days: i64; first, last: datetime[us, UTC]``; kinds as `kinds` orders them.
            Reads the symbol and timestamp columns of everything.
        """
        import polars as pl

        parts = []
        for kind in self.kinds():
            for path in self._files(kind):
                table = read_columns(open_file(path), path, None, ["symbol", "timestamp"])
                frame = pl.DataFrame(pl.from_arrow(table)).with_columns(pl.col("symbol").cast(pl.String))
                stamp = pl.col("timestamp").cast(pl.Datetime("us", "UTC"))
                figures = (pl.len().cast(pl.Int64).alias("rows"), stamp.min().alias("first"), stamp.max().alias("last"))
                parts.append(
                    frame.group_by("symbol")
                    .agg(*figures)
                    .with_columns(kind=pl.lit(kind), day=pl.lit(path.parent.name, dtype=pl.String))
                )
        if not parts:
            instant = pl.Datetime("us", "UTC")
            columns = {"kind": pl.String, "symbol": pl.String, "rows": pl.Int64, "days": pl.Int64}
            return pl.DataFrame(schema={**columns, "first": instant, "last": instant})
        order = {kind: place for place, kind in enumerate(self.kinds())}
        return (
            pl.concat(parts)
            .group_by("kind", "symbol")
            .agg(
                pl.col("rows").sum(),
                pl.col("day").n_unique().cast(pl.Int64).alias("days"),
                pl.col("first").min(),
                pl.col("last").max(),
            )
            .sort(pl.col("kind").replace_strict(order, return_dtype=pl.Int64), "symbol")
        )

    def upsert(self, kind: str, table: pa.Table) -> UpsertSummary:
        """Insert rows and replace those of the same key; see `mismartera.engine.data.upsert.upsert`."""
        return upsert(self.root, kind, table)

    def _days_between(self, kind: str, start_us: int, stop_us: int) -> list[dt.date]:
        if stop_us <= start_us:
            return []
        first, last = start_us // _DAY_US + _EPOCH, (stop_us - 1) // _DAY_US + _EPOCH
        if last - first >= _PROBED_DAYS:  # then one listing is cheaper than asking for each date
            return [day for day in self.dates(kind) if first <= day.toordinal() <= last]
        return [dt.date.fromordinal(day) for day in range(max(first, 1), last + 1)]

    def _files(self, kind: str) -> Iterator[Path]:
        for day in self.dates(kind):
            yield from data_files(partition_folder(self.root, kind, day))


def _folders(parent: Path, prefix: str) -> list[str]:
    try:
        return [path.name.removeprefix(prefix) for path in parent.iterdir() if path.name.startswith(prefix)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise CatalogError(f"{parent}: cannot be listed: {error.strerror}", path=parent) from error


def _symbols_in(path: Path, wanted: Collection[str] | None) -> set[str]:
    file = open_file(path)
    groups = None if wanted is None else groups_with(file, wanted)
    column = read_columns(file, path, groups, ["symbol"]).column("symbol")
    return set(column.unique().to_pylist())


def _within(table: pa.Table, start_us: int, stop_us: int, wanted: Collection[str] | None) -> pa.Table:
    """Keep the rows in range and of the wanted symbols; a table that holds no others is returned as it is."""
    stamp = timestamps_us(table)
    if not len(stamp):
        return table
    keep = np.ones(len(stamp), np.bool_)
    if stamp.min() < start_us or stamp.max() >= stop_us:
        keep &= (stamp >= start_us) & (stamp < stop_us)
    if wanted is not None:
        names = table.column("symbol").chunk(0).dictionary.to_pylist()
        known = np.array([name in wanted for name in names], np.bool_)
        if not known.all():
            codes = [chunk.indices.to_numpy(zero_copy_only=True) for chunk in table.column("symbol").chunks]
            keep &= known[np.concatenate(codes)]
    return table if keep.all() else take(table, keep)


def _by_symbol(table: pa.Table) -> pa.Table:
    """Sort rows of ascending dates, each date sorted, by symbol: a stable sort keeps the timestamps' order."""
    rank = symbol_ranks(table)
    if np.all(rank[1:] >= rank[:-1]):
        return table
    return take(table, np.argsort(rank, kind="stable"))
