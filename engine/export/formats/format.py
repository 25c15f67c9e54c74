"""`Format`: what a format of exports on disk does, and `Content`: an export as it was read from disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mismartera.engine.export.document.document import Export
from mismartera.engine.export.writing.timings import Drained
from mismartera.schemas.errors import ExportError


@dataclass(frozen=True, slots=True)
class Written:
    """An export that was written.

    Attributes
    ----------
    path : Path
    format : str
        Name of the format.
    drained : Drained
    sync_s : float
        Seconds to make it durable.
    """

    path: Path
    format: str
    drained: Drained
    sync_s: float


@dataclass(frozen=True, slots=True)
class Content:
    """An export as it lies on disk, found to be undamaged.

    Attributes
    ----------
    sections : mapping
        The JSON document, or the ``metadata.json`` of a folder.
    tables : mapping of str to pyarrow.Table, or None
        The tables of a folder; None if the document holds the rows.
    has_checksum : bool
        Whether every byte was checked against a checksum.
    """

    sections: Mapping[str, Any]
    tables: Mapping[str, pa.Table] | None
    has_checksum: bool


class Format(ABC):
    """A format of exports on disk.

    Attributes
    ----------
    name : str
        Also the suffix of its files or folders, without the dot.
    is_folder : bool
    """

    name: str
    is_folder: bool

    @abstractmethod
    def write(self, path: Path, export: Export, *, replace: bool = True) -> Written:
        """Write an export that appears whole or not at all; raises `ExportError`."""

    @abstractmethod
    def is_at(self, path: Path) -> bool:
        """Return whether what is at a path looks like this format, by its content."""

    @abstractmethod
    def read(self, path: Path) -> Content:
        """Return an export; raises `NotAnExportError` if it is damaged."""

    @abstractmethod
    def read_metadata(self, path: Path) -> Any:
        """Return the ``_metadata`` section without looking for damage; raises `NotAnExportError`."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Make the folder of `path`; raise `ExportError` where the operating system refuses to write an export there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if isinstance(error, ExportError):
            raise
        raise ExportError(
            f"{path}: the export could not be written: {error.strerror or error}; nothing was left there",
            hint="the consumer's cursor did not move: free space or name another folder, and export again",
        ) from error
