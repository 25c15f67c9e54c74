"""`CatalogFiles`: a catalog's Parquet files as something to SELECT from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mismartera.engine.columns.buckets import DAY_US, date_label_us
from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.partition import (
    EVENT_KINDS,
    PART_FILE,
    data_files,
    open_file,
    partition_folder,
    read_columns,
    schema_of,
)
from mismartera.schemas.bars import TIMESTAMP
from mismartera.schemas.errors import CatalogError
from mismartera.sql.database import as_pattern, quoted
from mismartera.sql.views import part

_AS_IT_IS = "timestamp"
_ANY_INSTANT = "make_timestamptz(CAST(x AS BIGINT))"
_MOST_PROBLEMS = 50
"""Files that cannot be read of which each is told apart in a query: each makes its plan longer."""


@dataclass(frozen=True, slots=True)
class _Footer:
    """What a file's footer tells: its rows, the SQL that makes its timestamps instants, why it cannot be read."""

    kind: str
    day: dt.date
    path: Path
    rows: int = 0
    instant: str = _AS_IT_IS
    problem: CatalogError | None = None

    @property
    def matters(self) -> bool:
        return self.rows > 0 or self.problem is not None


class CatalogFiles:
    """The files of a catalog, as it was when they were first asked for.

    Parameters
    ----------
    catalog : Catalog

    Attributes
    ----------
    dates : dict of str to list of date
        Those stored of each kind, ascending, up to the last that has rows; a kind without any is left out.
    window : tuple of date
        The first and last of those; of folders that hold no rows where that is all there is.

    Notes
    -----
    A file that cannot be read counts as one with rows: only a query that needs it fails.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._problems: list[CatalogError] = []
        self._footers = cache(self._read_footers)
        self._readable_span = cache(catalog.span)
        self._root = as_pattern(str(catalog.root.resolve()))
        self._folders = {kind: catalog.dates(kind) for kind in catalog.kinds()}
        trimmed = {kind: self._up_to_rows(kind, dates) for kind, dates in self._folders.items()}
        self.dates = {kind: dates for kind, dates in trimmed.items() if dates}
        ends = [date for dates in (self.dates or self._folders).values() for date in (dates[0], dates[-1])]
        self.window = (min(ends), max(ends))

    def has_rows(self, kind: str, date: dt.date) -> bool:
        """Return whether a partition has any row, or a file that cannot be read."""
        return any(one.matters for one in self._footers(kind, date))

    def problem(self, kind: str, date: dt.date) -> CatalogError | None:
        """Return why a partition cannot be read; None where it can."""
        return next((one.problem for one in self._footers(kind, date) if one.problem), None)

    def problem_told(self, message: str) -> CatalogError | None:
        """Return the error that a query which needed an unreadable file was stopped with, found by its message."""
        return next((problem for problem in self._problems if str(problem) in message), None)

    def span(self, kind: str, date: dt.date) -> tuple[int, int] | None:
        """Return the first and last timestamp of a partition, the whole date where that cannot be read.

        None if it has no rows; see `Catalog.span`.
        """
        if self.problem(kind, date):
            return date_label_us(date), date_label_us(date) + DAY_US - 1
        return self._readable_span(kind, date)

    def rows(self, kinds: Sequence[str]) -> str:
        """Return what a FROM names to read the rows of some intervals, or of one kind of events.

        Raises
        ------
        CatalogError
            If very many files cannot be read. Where it is a few, a query that needs one of them fails, with the message
            of its error.

        Notes
        -----
        One scan over the Hive partitions, of which a query opens those it asks for. Each scan that a query names costs
        it a listing of the folders. To know the footers costs 0.1 ms for each file of `kinds`, once; files of another
        type than this package writes are scanned apart, and so are partitions of several files, whose rows are merged
        by key as the engine does.
        """
        is_events = kinds[0] in EVENT_KINDS
        types = {"date": "DATE"} if is_events else {"interval": "VARCHAR", "date": "DATE"}
        under = kinds if len(kinds) == 1 else [kind for kind in self._folders if kind not in EVENT_KINDS]
        if all(map(_is_plain, self._partitions(under))):
            folders = [kinds[0]] if is_events else ["bars", f"interval={kinds[0] if len(kinds) == 1 else '*'}"]
            return _scan(["/".join([self._root, *folders, "date=*", "[!._]*.parquet"])], types)
        single: list[_Footer] = []
        several: list[_Footer] = []
        problems: list[_Footer] = []
        for footers in self._partitions(kinds):
            problems += [one for one in footers if one.problem]
            sound = [one for one in footers if one.rows]
            (single if len(sound) == 1 else several).extend(sound)
        parts = _by_instant(single, types)
        if several:
            view = "catalog_merged_events" if is_events else "catalog_merged_bars"
            scans = _by_instant(several, types, "filename = true", "file_row_number = true")
            columns = ", ".join(f'"{name}"' for name in (*schema_of(kinds[0]).names, *types))
            parts.append(part(view, columns=columns, rows=_union_by_name(scans), winner=PART_FILE))
        return _union_by_name([*parts, *_failing(problems)])

    def symbols(self, kind: str, days: Sequence[dt.date], start_us: int, stop_us: int) -> pa.Array:
        """Return the distinct symbols of rows in ``[start_us, stop_us)`` in some partitions. Reads two columns."""
        found: list[pa.ChunkedArray] = []
        for day in days:
            for path in data_files(partition_folder(self.catalog.root, kind, day)):
                table = read_columns(open_file(path), path, None, ["symbol", "timestamp"])
                stamps = table.column("timestamp").cast(TIMESTAMP).cast(pa.int64())
                inside = pc.and_(pc.greater_equal(stamps, start_us), pc.less(stamps, stop_us))
                found.append(table.column("symbol").cast(pa.string()).filter(inside))
        return pa.chunked_array([chunk for one in found for chunk in one.chunks], pa.string()).unique()

    def _read_footers(self, kind: str, day: dt.date) -> list[_Footer]:
        found = [_footer(kind, day, path) for path in data_files(partition_folder(self.catalog.root, kind, day))]
        self._problems += [one.problem for one in found if one.problem]
        return found

    def _partitions(self, kinds: Sequence[str]) -> Iterator[list[_Footer]]:
        """Yield the files of each partition of some kinds."""
        return (self._footers(kind, day) for kind in kinds for day in self._folders[kind])

    def _up_to_rows(self, kind: str, dates: Sequence[dt.date]) -> list[dt.date]:
        """Leave out the last dates that have no rows. Earlier ones do no harm: not all footers are read for them."""
        last = next((place for place in range(len(dates), 0, -1) if self.has_rows(kind, dates[place - 1])), 0)
        return list(dates[:last])


def _is_plain(partition: Sequence[_Footer]) -> bool:
    """Return whether one scan of the folders reads a partition: it is empty, or one file as this package writes it."""
    return not partition or (len(partition) == 1 and partition[0].instant == _AS_IT_IS and partition[0].rows > 0)


def _footer(kind: str, day: dt.date, path: Path) -> _Footer:
    try:
        file = open_file(path)
        schema, columns = file.schema_arrow, schema_of(kind).names
        if not set(columns) <= set(schema.names):
            read_columns(file, path, [], columns)  # which tells what is lacking
    except CatalogError as problem:
        return _Footer(kind, day, path, problem=problem)
    return _Footer(kind, day, path, file.metadata.num_rows, _instant(schema.field("timestamp").type))


def _instant(kind: pa.DataType) -> str:
    if not pa.types.is_timestamp(kind):
        return _AS_IT_IS
    if kind.tz is None:
        return "timezone('UTC', CAST(timestamp AS TIMESTAMP))"
    return "CAST(timestamp AS TIMESTAMPTZ)" if kind.unit == "ns" else _AS_IT_IS


def _by_instant(footers: Sequence[_Footer], types: Mapping[str, str], *options: str) -> list[str]:
    """Return one SELECT for the files of each type of timestamps."""
    groups: dict[str, list[str]] = {}
    for one in footers:
        groups.setdefault(one.instant, []).append(as_pattern(str(one.path.resolve())))
    return [
        part("catalog_foreign", rows=_scan(paths, types, *options), instant=instant)
        for instant, paths in groups.items()
    ]


def _failing(problems: Sequence[_Footer]) -> list[str]:
    """Return SELECTs that stop a query which does not rule out the partitions of files that cannot be read."""
    if len(problems) > _MOST_PROBLEMS:
        first = problems[0].problem
        raise CatalogError(
            f"{first}; {len(problems) - 1} more files of the catalog cannot be read",
            path=problems[0].path,
            hint=None if first is None else first.hint,
        )
    made = {pa.string(): "CAST(x AS VARCHAR)", pa.float64(): "x", pa.int64(): "CAST(x AS BIGINT)"}
    found = []
    for one in problems:
        columns = [f'{made.get(field.type, _ANY_INSTANT)} AS "{field.name}"' for field in schema_of(one.kind)]
        columns.append(f"DATE '{one.day}' AS date")
        if one.kind not in EVENT_KINDS:
            columns.append(f"'{one.kind}' AS interval")
        found.append(part("catalog_unreadable", columns=", ".join(columns), message=quoted(str(one.problem))))
    return found


def _union_by_name(parts: Sequence[str]) -> str:
    return f"({' UNION ALL BY NAME '.join(f'({one})' for one in parts)})"


def _scan(files: Sequence[str], types: Mapping[str, str], *options: str) -> str:
    listed = ", ".join(map(quoted, files))
    told = ", ".join(f"'{name}': {type_}" for name, type_ in types.items())
    return f"read_parquet([{listed}], {', '.join(['hive_partitioning = true', f'hive_types = {{{told}}}', *options])})"
