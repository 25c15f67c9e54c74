"""Parquet sources, of whatever writer: columns matched by name, row groups read one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mismartera.schemas.errors import ImportDataError

from .options import ImportOptions, match_columns, require_own

SUFFIXES = (".parquet", ".pq")
ZONE = "UTC"
_BATCH_ROWS = 1_000_000


def select(paths: list[Path], options: ImportOptions) -> list[Path]:
    """Return all the files."""
    return paths


def read(path: Path, options: ImportOptions) -> Iterator[pl.DataFrame]:
    """Read a file as frames that `validate` takes: ``source, row, symbol`` and our columns, typed as they are stored.

    Raises
    ------
    ImportDataError
        If the file is no whole Parquet file, or its columns cannot be told.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = list(file.schema_arrow.names)
            matched = _matched(names, options, path)
            row = 1
            for batch in file.iter_batches(_BATCH_ROWS, columns=sorted(set(matched.values()))):
                frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch])))
                yield _ours(frame, matched, row, path, options)
                row += len(frame)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImportDataError(
            f"{path}: not a whole Parquet file: {reason}",
            path=path,
            hint="fetch the file again; importing again is safe",
        ) from error


def _matched(names: list[str], options: ImportOptions, path: Path) -> dict[str, str]:
    if not options.positions:
        return match_columns(names, options, path)
    if len(options.positions) > len(names):
        raise ImportDataError(
            f"{path}: --columns names {len(options.positions)} columns, the file has {len(names)}", path=path
        )
    pairs = zip(options.positions, names, strict=False)
    return {ours: theirs for ours, theirs in pairs if ours != "-"}


def _ours(frame: pl.DataFrame, matched: dict[str, str], row: int, path: Path, options: ImportOptions) -> pl.DataFrame:
    columns = {ours: pl.col(theirs) for ours, theirs in matched.items()}
    if "date" in columns:
        day, time = columns.pop("date").cast(pl.String), columns.pop("time", pl.lit("")).cast(pl.String)
        columns["timestamp"] = day + " " + time
    if "symbol" in matched:
        places = {ours: place for place, ours in enumerate(options.positions) if ours != "-"}
        require_own(frame[matched["symbol"]], options, path, places or matched["symbol"])
    symbol = columns.get("symbol", pl.lit(options.symbol)).cast(pl.String)
    made = [columns.get(ours, pl.lit(None, dtype=pl.String)).alias(ours) for ours in options.fields]
    decimals = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Decimal)]
    frame = frame.with_columns(pl.col(decimals).cast(pl.Float64)) if decimals else frame
    rows = pl.int_range(row, row + len(frame), dtype=pl.Int64, eager=True).alias("row")
    return frame.select(pl.lit(str(path)).alias("source"), rows, symbol.alias("symbol"), *made)
