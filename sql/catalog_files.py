"""`CatalogFiles`: a catalog's Parquet files as something to SELECT from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.partition import EVENT_KINDS, data_files, open_file, partition_folder, read_columns
from mismartera.schemas.bars import TIMESTAMP

from .safe import as_pattern, quoted


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

    def rows(self, kinds: Sequence[str]) -> str:
        """Return what a FROM names to read the rows of some intervals, or of one kind of events.

        Notes
        -----
        One scan over the Hive partitions, of which a query opens those it asks for. Each scan that a query names costs
        it a listing of the folders.
        """
        kind = kinds[0]
        types = {"date": "DATE"} if kind in EVENT_KINDS else {"interval": "VARCHAR", "date": "DATE"}
        folders = [kind] if kind in EVENT_KINDS else ["bars", f"interval={kind if len(kinds) == 1 else '*'}"]
        root = as_pattern(str(self.catalog.root.resolve()))
        files = quoted("/".join([root, *folders, "date=*", "[!._]*.parquet"]))
        told = ", ".join(f"'{name}': {type_}" for name, type_ in types.items())
        return f"read_parquet({files}, hive_partitioning = true, hive_types = {{{told}}})"

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
