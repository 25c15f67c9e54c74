"""The file of rows an import could not take: one per source and content, so that importing again makes no second."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import polars as pl

from mismartera.schemas.errors import CatalogError


class Quarantine:
    """Collects rejected rows on disk while an import runs; a context manager that puts the file in its place.

    Parameters
    ----------
    root : Path
        The catalog's folder; the file comes to lie in ``quarantine`` below it.
    source : str
        Name of what is imported.
    kind : str

    Attributes
    ----------
    reasons : collections.Counter
        Rows by reason; the value a reason quotes is left out.
    path : Path or None
        ``<source>-<kind>-<first 8 digits of the content's SHA-256>.csv``, once the block has ended; None if every
        row was good.
    """

    def __init__(self, root: Path, source: str, kind: str) -> None:
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", source).strip("._") or "source"
        self.reasons: Counter[str] = Counter()
        self.path: Path | None = None
        self._folder = root / "quarantine"
        self._stem = f"{name}-{kind}"
        self._pending = self._folder / f".{self._stem}.{os.getpid()}.tmp"
        self._digest = hashlib.sha256()
        self._file: BinaryIO | None = None

    def add(self, rejected: pl.DataFrame) -> None:
        """Append rows: ``source``, ``row``, ``reason`` and the original values."""
        if not len(rejected):
            return
        counts = rejected["reason"].str.replace(r"(?s): '.*$", "").value_counts()
        self.reasons.update(dict(counts.iter_rows()))
        try:
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = self._pending.open("wb")
                self._write(rejected.head(0).write_csv().encode())
            self._write(rejected.write_csv(include_header=False).encode())
        except OSError as error:
            raise self._not_writable(error) from error

    def __enter__(self) -> Quarantine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Put the file in its place, also after an error: rows of files already imported must not be lost."""
        if self._file is None:
            return
        try:
            with self._file:
                self._file.flush()
                os.fsync(self._file.fileno())
            self.path = self._folder / f"{self._stem}-{self._digest.hexdigest()[:8]}.csv"
            os.replace(self._pending, self.path)
        except OSError as problem:
            self._pending.unlink(missing_ok=True)
            raise self._not_writable(problem) from (error or problem)

    def _write(self, content: bytes) -> None:
        assert self._file is not None
        self._file.write(content)
        self._digest.update(content)

    def _not_writable(self, error: OSError) -> CatalogError:
        return CatalogError(f"{self._folder}: cannot be written: {error.strerror or error}", path=self._folder)
