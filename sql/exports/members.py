"""The exports of a chain as tables, and what they say of themselves: one run, and as many rows as they count."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.ipc

from mismartera.engine.export.tables.schemas import EXPORT_TABLES
from mismartera.sql.errors import ExportsError

from .chain import ExportFile
from .files import METADATA, load_document, load_folder_metadata
from .json_tables import miscounted, rows_in, tables_of

_CARRIED = ("session_bars", "historical_bars", "ticks", "quotes")
_SUFFIXES = {"arrow": ".arrows", "parquet": ".parquet"}
# What reading a part that is not as the contract has it comes to.
_MALFORMED = (
    AttributeError,
    LookupError,
    OverflowError,
    TypeError,
    ValueError,
    pa.ArrowException,
    pl.exceptions.PolarsError,
)


@dataclass(frozen=True, slots=True)
class Member:
    """One export of a chain.

    Attributes
    ----------
    file : ExportFile
    document : mapping
        Its sections, but of a JSON export without ``session_data``.
    tables : mapping
        Its tables in memory or mapped; none where its Parquet files are scanned.
    """

    file: ExportFile
    document: Mapping[str, Any]
    tables: Mapping[str, pa.Table]

    @property
    def rows(self) -> int:
        """Rows of bars, ticks and quotes it carries."""
        if self.tables:
            return sum(self.tables[name].num_rows for name in _CARRIED)
        return _told_rows(self.file, self.document)


def load_member(file: ExportFile) -> Member:
    """Return an export as tables.

    Raises
    ------
    ExportsError
        If a file of it is missing or damaged, or has not the rows it says it has.
    """
    if file.format in _SUFFIXES:
        document = load_folder_metadata(file.path)
        _check_files(file)
        return Member(file, document, {} if file.format == "parquet" else _mapped(file.path, document))
    with _uncollected():
        document = load_document(file.path)
        with _by_contract(file):
            problem = next(miscounted(document), None)
            tables = {} if problem else tables_of(document)
        if problem:
            raise ExportsError(f"{file.path}: {problem}", path=file.path, hint="make the export again, or leave it out")
        head = {name: value for name, value in document.items() if name != "session_data"}
        del document
    return Member(file, head, tables)


def rows_of(file: ExportFile) -> int:
    """Return the rows of bars, ticks and quotes an export carries. JSON is read whole for it.

    Raises
    ------
    ExportsError
        As `load_member`.
    """
    if file.format in _SUFFIXES:
        return _told_rows(file, load_folder_metadata(file.path))
    document = load_document(file.path)
    with _by_contract(file):
        return rows_in(document)


def of_one_run(members: Sequence[Member]) -> None:
    """Raise `ExportsError` where two exports tell their runs and these are not the same."""
    held: tuple[str, Member] | None = None
    for member in members:
        run = member.document.get("performance_metrics", {}).get("run_id")
        if run is not None and held is not None and run != held[0]:
            raise ExportsError(
                f"{member.file.path}: export {member.file.sequence} is of run {run}, and {held[1].file.path} before it "
                f"is of run {held[0]}",
                path=member.file.path,
                hint="keep the exports of each run in a folder of its own",
            )
        held = held if run is None else (run, member)


@contextmanager
def _by_contract(file: ExportFile) -> Iterator[None]:
    """Turn what malformed content comes to into an error that names the file."""
    try:
        yield
    except _MALFORMED as error:
        raise ExportsError(f"{file.path}: not as the contract has it: {error!r}", path=file.path) from error


@contextmanager
def _uncollected() -> Iterator[None]:
    """Hold the garbage collector: millions of rows that all are needed make it look in vain, for half of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _check_files(file: ExportFile) -> None:
    for name in EXPORT_TABLES:
        path = file.path / f"{name}{_SUFFIXES[file.format]}"
        if not path.is_file():
            raise ExportsError(
                f"{path}: missing: expected a file for each table of the export",
                path=path,
                hint="make the export again, or leave its folder out",
            )


def _mapped(folder: Path, document: Mapping[str, Any]) -> dict[str, pa.Table]:
    """Return the tables of an Arrow export over the mapped files: a column is read when a query reads it."""
    tables = {}
    told = document.get("tables", {})
    for path in (folder / f"{name}.arrows" for name in EXPORT_TABLES):
        try:
            with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
                rows = tables[path.stem] = stream.read_all()
        except (OSError, pa.ArrowException) as error:
            raise ExportsError(f"{path}: not a whole Arrow stream: {error}", path=path) from error
        if rows.num_rows != told.get(path.stem, rows.num_rows):
            raise ExportsError(f"{path}: {rows.num_rows} rows, and {METADATA} says {told[path.stem]}", path=path)
    return tables


def _told_rows(file: ExportFile, document: Mapping[str, Any]) -> int:
    with _by_contract(file):
        return sum(document["tables"][name] for name in _CARRIED)
