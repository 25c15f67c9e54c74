"""Checks of a whole catalog: every file readable, every row where and what it should be."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from mismartera.schemas.errors import CatalogError, IntervalError
from mismartera.schemas.interval import Interval

from .catalog import Catalog
from .partition import EVENT_KINDS, check_file, conform, data_files, normal_kind, open_file, read_columns, schema_of
from .progress import Progress, silent
from .validate import grid_us


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a file or folder of the catalog."""

    path: Path
    problem: str


@dataclass(frozen=True, slots=True)
class VerifySummary:
    """What was checked and found.

    Attributes
    ----------
    partitions, files, rows : int
        What was read.
    problems : tuple of Problem
        Empty if the catalog is sound.
    without_checksums : tuple of Path
        Files of other programs, of which damage may pass unnoticed.
    """

    partitions: int
    files: int
    rows: int
    problems: tuple[Problem, ...]
    without_checksums: tuple[Path, ...] = ()


def verify(catalog: Catalog, progress: Progress = silent) -> VerifySummary:
    """Check every partition.

    A file must fit its checksums, be readable and have the columns of its kind without empty cells; its rows must be
    sorted by symbol and timestamp, lie on the folder's date and on the interval's grid, be finite and in OHLC order;
    bars must be unique by symbol and timestamp within their partition.

    Raises
    ------
    CatalogError
        If there is no catalog.

    Notes
    -----
    Reads everything, a partition at a time. Changes nothing.
    """
    folders, problems = _partitions(catalog)
    if not folders and not problems:
        catalog.require()
    files = rows = 0
    without_checksums: list[Path] = []
    for done, (kind, day, folder) in enumerate(folders):
        progress(done, len(folders), f"{kind} {day}")
        part = _check_partition(kind, day, folder)
        problems += part.problems
        without_checksums += part.without_checksums
        files += part.files
        rows += part.rows
    progress(len(folders), len(folders), "")
    return VerifySummary(len(folders), files, rows, tuple(problems), tuple(without_checksums))


def _partitions(catalog: Catalog) -> tuple[list[tuple[str, dt.date, Path]], list[Problem]]:
    folders: list[tuple[str, dt.date, Path]] = []
    problems: list[Problem] = []
    for kind_path, text in _kind_folders(catalog.root):
        try:
            kind = normal_kind(text)
        except IntervalError:
            problems.append(Problem(kind_path, f"{text!r} is no interval, so nothing in this folder is read"))
            continue
        if kind != text:
            problems.append(Problem(kind_path, f"the folder should be named interval={kind}; nothing in it is read"))
            continue
        for folder in sorted(kind_path.iterdir()):
            if not folder.name.startswith("date="):
                continue
            try:
                folders.append((kind, dt.date.fromisoformat(folder.name.removeprefix("date=")), folder))
            except ValueError:
                problems.append(Problem(folder, "the folder's name holds no date; nothing in it is read"))
    return folders, problems


def _kind_folders(root: Path) -> Iterator[tuple[Path, str]]:
    bars = root / "bars"
    if bars.is_dir():
        for folder in sorted(bars.iterdir()):
            if folder.name.startswith("interval="):
                yield folder, folder.name.removeprefix("interval=")
    for kind in EVENT_KINDS:
        if (root / kind).is_dir():
            yield root / kind, kind


def _check_partition(kind: str, day: dt.date, folder: Path) -> VerifySummary:
    problems: list[Problem] = []
    frames: list[pl.DataFrame] = []
    without_checksums: list[Path] = []
    files = data_files(folder)
    if not files:
        problems.append(Problem(folder, "the partition holds no Parquet file"))
    for path in files:
        try:
            check_file(path)
            file = open_file(path)
            table = conform(read_columns(file, path, None, schema_of(kind).names), kind, path)
        except CatalogError as error:
            problems.append(Problem(path, str(error).removeprefix(f"{path}: ")))
            continue
        if file.seal is None:
            without_checksums.append(path)
        frame = _frame(table)
        frames.append(frame)
        problems += [Problem(path, text) for text in _check_rows(kind, day, frame)]
    if kind not in EVENT_KINDS and frames:
        keys = pl.concat([frame.select("symbol", "timestamp") for frame in frames])
        twice = int(keys.select(pl.struct(pl.all()).is_duplicated().sum()).item())
        if twice:
            place = files[0] if len(files) == 1 else folder
            problems.append(Problem(place, f"{twice} rows share their symbol and timestamp with another"))
    return VerifySummary(1, len(files), sum(map(len, frames)), tuple(problems), tuple(without_checksums))


def _frame(table: pa.Table) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(table)).with_columns(pl.col("symbol").cast(pl.String))


def _check_rows(kind: str, day: dt.date, frame: pl.DataFrame) -> list[str]:
    """Return a line for each rule that rows break, with how many do and the first of them."""
    if not len(frame):
        return ["the file holds no row"]
    stamp = pl.col("timestamp")
    rules = {f"on another date than the folder's {day}": stamp.dt.date() != day}
    before, earlier = pl.col("symbol").shift(1), stamp.shift(1)
    rules["out of order by symbol and timestamp"] = (pl.col("symbol") < before) | (
        (pl.col("symbol") == before) & (stamp < earlier)
    )
    for name, field in frame.schema.items():
        if field == pl.Float64:
            rules[f"with {name} not finite"] = ~pl.col(name).is_finite()
        elif field == pl.Int64:
            rules[f"with {name} negative"] = pl.col(name) < 0
    if kind not in EVENT_KINDS:
        interval = Interval(kind)
        rules[f"off the {interval} grid"] = stamp.dt.epoch("us") % grid_us(interval) != 0
        body = pl.max_horizontal("open", "low", "close"), pl.min_horizontal("open", "high", "close")
        rules["with high below open, low or close"] = pl.col("high") < body[0]
        rules["with low above open, high or close"] = pl.col("low") > body[1]
    found = frame.select(
        pl.struct(bad=rule.fill_null(False).sum(), at=rule.fill_null(False).arg_max()).alias(text)
        for text, rule in rules.items()
    ).row(0, named=True)
    problems = []
    for text, result in found.items():
        if result["bad"]:
            symbol, timestamp = frame.row(result["at"])[:2]
            problems.append(f"{result['bad']} rows {text}, first {symbol} {timestamp:%Y-%m-%d %H:%M:%S}")
    return problems
