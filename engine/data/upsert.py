"""Atomic, idempotent writes: rows are merged into their partitions by key; only partitions that change are moved."""

from __future__ import annotations

import datetime as dt
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mismartera.engine.files.atomic import sync_folder
from mismartera.schemas.errors import CatalogError

from .partition import (
    EVENT_KINDS,
    PART_FILE,
    SORTING,
    conform,
    data_files,
    merge,
    normal_kind,
    partition_folder,
    read_partition,
    schema_of,
    sort_rows,
    symbol_ranks,
    take,
    timestamps_us,
)
from .seal import add_seal

STAGING = ".staging"
"""Folder below the root where files are written before they are moved into place."""
ROW_GROUP = 65_536
_DAY_US = 86_400_000_000
_EPOCH = dt.date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class UpsertSummary:
    """What a write did.

    Attributes
    ----------
    added, replaced, unchanged : int
        Rows whose key was new; was there with other values; was there with the same.
    partitions : frozenset of Path
        Folders of the partitions that were rewritten; those whose rows are unchanged are not touched.
    """

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    partitions: frozenset[Path] = field(default_factory=frozenset)

    def __add__(self, other: UpsertSummary) -> UpsertSummary:
        return UpsertSummary(
            self.added + other.added,
            self.replaced + other.replaced,
            self.unchanged + other.unchanged,
            self.partitions | other.partitions,
        )


def upsert(root: Path, kind: str, table: pa.Table) -> UpsertSummary:
    """Insert rows into the catalog at `root`, and replace those of the same key.

    Parameters
    ----------
    root : Path
        Made if absent.
    kind : str
        ``"ticks"``, ``"quotes"`` or a bar interval.
    table : pyarrow.Table
        The columns of the kind's schema, in any order; rows in any order. Of several bars of one key the last wins.

    Raises
    ------
    CatalogError
        If a partition that is to be merged cannot be read, if the disk is full or not writable, or if another
        process is writing.

    Notes
    -----
    Every changed partition is written to ``.staging`` and synced to disk; then all are renamed into place. A crash
    leaves each partition old or new, never in part, and the same call once more completes the work. Memory: the rows
    given and one partition. Files that others put into a partition are merged in and removed after the rename.
    """
    kind = normal_kind(kind)
    rows = conform(table.select(schema_of(kind).names), kind, "rows given")
    with _writing(root) as staging:
        summary = UpsertSummary()
        staged: list[tuple[Path, Path]] = []
        for day, part in _by_date(rows):
            folder = partition_folder(root, kind, day)
            merged, figures = _merged(folder, kind, part)
            if figures.partitions:
                path = staging / f"{len(staged)}.parquet"
                write_file(path, kind, merged)
                staged.append((path, folder))
            summary += figures
        for path, folder in staged:
            _move(path, folder)
    return summary


def write_file(path: Path, kind: str, table: pa.Table) -> None:
    """Write sorted rows as one Parquet file of the catalog, with its checksums, and sync it to disk."""
    pq.write_table(
        table.cast(schema_of(kind)),
        path,
        compression="snappy",
        row_group_size=ROW_GROUP,
        write_statistics=True,
        sorting_columns=SORTING,
        write_page_checksum=True,
    )
    add_seal(path)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _by_date(rows: pa.Table) -> Iterator[tuple[dt.date, pa.Table]]:
    days = timestamps_us(rows) // _DAY_US
    if not len(days):
        return
    if days.min() == days.max():
        yield dt.date.fromordinal(int(days[0]) + _EPOCH), rows
        return
    order = np.argsort(days, kind="stable")
    days, rows = days[order], take(rows, order)
    edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
    for start, stop in pairwise(edges):
        yield dt.date.fromordinal(int(days[start]) + _EPOCH), rows.slice(start, stop - start)


def _merged(folder: Path, kind: str, part: pa.Table) -> tuple[pa.Table, UpsertSummary]:
    new = unique(part, kind)
    old = read_partition(folder, kind)
    if old is None:
        return new, UpsertSummary(added=new.num_rows, partitions=frozenset([folder]))
    merged, added, replaced = merge(old, new, kind)
    is_tidy = [path.name for path in data_files(folder)] == [PART_FILE]
    touched = frozenset[Path]() if is_tidy and not added and not replaced else frozenset([folder])
    return merged, UpsertSummary(added, replaced, new.num_rows - added - replaced, touched)


def unique(rows: pa.Table, kind: str) -> pa.Table:
    """Return rows sorted and, if they are bars, one per symbol and timestamp: the last of them."""
    rows = sort_rows(rows)
    if kind in EVENT_KINDS or rows.num_rows < 2:
        return rows
    rank, stamp = symbol_ranks(rows), timestamps_us(rows)
    last = np.ones(len(rank), np.bool_)
    last[:-1] = (rank[1:] != rank[:-1]) | (stamp[1:] != stamp[:-1])
    return rows if last.all() else take(rows, last)


def _move(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    others = [other for other in data_files(folder) if other.name != PART_FILE]
    os.replace(path, folder / PART_FILE)
    sync_folder(folder)
    for other in others:  # only now: until the rename they hold rows that are nowhere else
        other.unlink()


@contextmanager
def _writing(root: Path) -> Iterator[Path]:
    """Hold the catalog's write lock and yield an empty staging folder, removed at the end."""
    staging = root / STAGING
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _lock(root):
            if staging.exists():  # left by a process that was killed: nothing of it was moved yet
                shutil.rmtree(staging)
            try:
                staging.mkdir()
                yield staging
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except CatalogError:
        raise
    except OSError as error:
        raise _not_writable(root, error) from error


@contextmanager
def _lock(root: Path) -> Iterator[None]:
    """Lock the catalog for one writer; the system lets go of the lock when a process ends, however it does."""
    import fcntl

    descriptor = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CatalogError(
                f"{root}: another process is writing to this catalog", path=root, hint="try again when it has ended"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _not_writable(root: Path, error: OSError) -> CatalogError:
    where = error.filename or root
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return CatalogError(
        f"{where}: cannot be written: {error.strerror or error}",
        path=root,
        hint="make room on the disk and run the same command again; partitions already written are whole"
        if full
        else "check that the folder is writable, or name another with --catalog DIR",
    )
