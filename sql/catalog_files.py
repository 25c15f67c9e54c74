"""`CatalogFiles`: a catalog's Parquet files as something to SELECT from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.partition import EVENT_KINDS, data_files, open_file, partition_folder, read_columns
from mismartera.schemas.bars import TIMESTAMP
from mismartera.schemas.errors import CatalogError

from .safe import as_pattern, quoted
from .views import part

_AS_IT_IS = "timestamp"


class CatalogFiles:
    """The files of a catalog, as it was when they were first asked for.

    Parameters
    ----------
    catalog : Catalog

    Attributes
    ----------
    dates : dict of str to list of date
        Those stored of each kind, ascending.
    span : callable
        `Catalog.span`, which remembers what it read.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.dates = {kind: catalog.dates(kind) for kind in catalog.kinds()}
        self.span = cache(catalog.span)
        self._by_type = cache(self._find_types)
        self._root = as_pattern(str(catalog.root.resolve()))

    def rows(self, kinds: Sequence[str]) -> str:
        """Return what a FROM names to read the rows of some intervals, or of one kind of events.

        Notes
        -----
        One scan over the Hive partitions, of which a query opens those it asks for. Each scan that a query names costs
        it a listing of the folders. To know the types of the timestamps costs 0.1 ms for each file of `kinds`, once;
        files of another type than this package writes are scanned apart.
        """
        groups: dict[str, list[Path]] = {}
        for kind in kinds:
            for instant, paths in self._by_type(kind).items():
                groups.setdefault(instant, []).extend(paths)
        kind = kinds[0]
        types = {"date": "DATE"} if kind in EVENT_KINDS else {"interval": "VARCHAR", "date": "DATE"}
        if set(groups) <= {_AS_IT_IS}:
            folders = [kind] if kind in EVENT_KINDS else ["bars", f"interval={kind if len(kinds) == 1 else '*'}"]
            return _scan(["/".join([self._root, *folders, "date=*", "[!._]*.parquet"])], types)
        parts = []
        for instant, paths in groups.items():
            scan = _scan([as_pattern(str(path.resolve())) for path in paths], types)
            parts.append(part("catalog_foreign", rows=scan, instant=instant))
        return f"({' UNION ALL BY NAME '.join(parts)})"

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

    def _find_types(self, kind: str) -> dict[str, list[Path]]:
        """Return the files of a kind by the SQL that makes their timestamps instants."""
        groups: dict[str, list[Path]] = {}
        for day in self.dates[kind]:
            for path in data_files(partition_folder(self.catalog.root, kind, day)):
                groups.setdefault(_instant(path), []).append(path)
        return groups


def _instant(path: Path) -> str:
    try:
        schema = open_file(path).schema_arrow
    except CatalogError:
        return _AS_IT_IS  # the query that opens it tells; others may leave it alone
    place = schema.get_field_index("timestamp")
    kind = schema.field(place).type if place >= 0 else None
    if kind is None or not pa.types.is_timestamp(kind):
        return _AS_IT_IS
    if kind.tz is None:
        return "timezone('UTC', CAST(timestamp AS TIMESTAMP))"
    return "CAST(timestamp AS TIMESTAMPTZ)" if kind.unit == "ns" else _AS_IT_IS


def _scan(files: Sequence[str], types: Mapping[str, str]) -> str:
    listed = ", ".join(map(quoted, files))
    told = ", ".join(f"'{name}': {type_}" for name, type_ in types.items())
    return f"read_parquet([{listed}], hive_partitioning = true, hive_types = {{{told}}})"
