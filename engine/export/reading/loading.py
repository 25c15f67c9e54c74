"""`load`: an export on disk, whatever its format, undamaged and ready to be read as a document or as tables."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from mismartera.engine.export.formats.format import Content
from mismartera.engine.export.formats.registry import format_at
from mismartera.schemas.errors import CalendarError, NotAnExportError

from .check import check_export, require_no_problem, require_sound
from .check_figures import wrong_figures
from .check_rows import figure_problems, row_problems
from .document_tables import tables_of
from .table_document import document_of

_CARRIED = ("session_bars", "historical_bars", "ticks", "quotes")
_UNFIT = (
    AttributeError,
    LookupError,
    OverflowError,
    TypeError,
    ValueError,
    CalendarError,
    pa.ArrowException,
    pl.exceptions.PolarsError,
)


class LoadedExport:
    """An export that was read from disk; every reader of exports stands on it.

    Parameters
    ----------
    path : Path
    format : str
    content : Content

    Attributes
    ----------
    path, format
        As given.
    has_checksum : bool
        Whether every byte was checked against a checksum.
    metadata : mapping
        Its ``_metadata``.
    """

    def __init__(self, path: Path, format: str, content: Content) -> None:
        self.path, self.format, self.has_checksum = path, format, content.has_checksum
        self._sections, self._tables = content.sections, content.tables
        for name in ("_metadata", "session_data"):
            if not isinstance(self._sections.get(name), dict):
                raise NotAnExportError(path, f"{name} is missing")
        self.metadata: Mapping[str, Any] = self._sections["_metadata"]

    @property
    def sections(self) -> dict[str, Any]:
        """The sections beside ``session_data``."""
        return {name: value for name, value in self._sections.items() if name != "session_data"}

    def document(self) -> dict[str, Any]:
        """Return the export as plain data, equal to its JSON."""
        return dict(self._sections) if self._tables is None else self._document(with_rows=True)

    def tables(self) -> Mapping[str, pa.Table]:
        """Return the export as Arrow tables, by the names of `EXPORT_TABLES`."""
        if self._tables is not None:
            return self._tables
        with _readable(self.path, "it cannot be read as tables"), _collector_paused():
            return tables_of(self._sections)

    @property
    def symbols(self) -> list[str]:
        """Names of its symbols, sorted."""
        return list(self._sections["session_data"]["_active_symbols"])

    @property
    def rows(self) -> int:
        """Rows of bars, ticks and quotes it carries."""
        if self._tables is not None:
            return sum(self._tables[name].num_rows for name in _CARRIED)
        with _readable(self.path, "its rows cannot be counted"):
            parts = (part for data in self._sections["session_data"]["symbols"].values() for part in data.values())
            return sum(section["count"] for part in parts for section in part.get("data", {}).values())

    def problems(self) -> list[str]:
        """Return what is wrong with the export, a line each, its figures compared with its rows included."""
        bare = self._sections if self._tables is None else self._document(with_rows=False)
        found = check_export(bare, has_rows=self._tables is None) or list(wrong_figures(bare))
        if self._tables is not None and not found:
            found = list(row_problems(self._tables, complete=bare["_metadata"]["complete"]))
        return found or list(figure_problems(self.tables(), self.sections))

    def require_sound(self) -> None:
        """Raise `NotAnExportError` unless the export keeps the contract and can be read back."""
        with _collector_paused():
            if self._tables is None:
                require_sound(self._sections, self.path)
                return
            bare = self._document(with_rows=False)
            require_sound(bare, self.path, has_rows=False)
            complete = bare["_metadata"]["complete"]
            require_no_problem(list(row_problems(self._tables, complete=complete)), self.path)

    def _document(self, *, with_rows: bool) -> dict[str, Any]:
        assert self._tables is not None
        with _readable(self.path, "its tables do not make one"):
            return document_of(self._tables, self._sections, with_rows=with_rows)


def load(path: str | Path) -> LoadedExport:
    """Return an export on disk after it was searched for damage.

    Parameters
    ----------
    path : str or Path
        A file or a folder; its format is detected by content, not by name.

    Raises
    ------
    NotAnExportError
        If it does not exist, cannot be read to its end, contradicts its checksum, or holds something else.
    """
    path = Path(path)
    found = format_at(path)
    with _collector_paused():
        return LoadedExport(path, found.name, found.read(path))


def load_export(path: str | Path) -> dict[str, Any]:
    """Return an export on disk as plain data; see `load`."""
    return load(path).document()


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Return the ``_metadata`` of an export; where it comes first in the file, no more than that is read.

    Raises
    ------
    NotAnExportError
        As `load`, but damage behind the metadata is not found.
    """
    path = Path(path)
    metadata = format_at(path).read_metadata(path)
    if not isinstance(metadata, dict):
        raise NotAnExportError(path, "_metadata is missing")
    return metadata


@contextmanager
def _readable(path: Path, problem: str) -> Iterator[None]:
    """Turn what content that breaks the contract leads to into an error that names the file."""
    try:
        yield
    except NotAnExportError:
        raise
    except _UNFIT as error:
        reason = str(error).partition("\n")[0]
        raise NotAnExportError(path, f"{problem} ({type(error).__name__}: {reason})") from error


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the garbage collector: millions of rows that all are needed make it search in vain, half of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
