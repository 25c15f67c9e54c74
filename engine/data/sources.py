"""The formats an import reads: each is a module here that is a `Source`, and a line in `SOURCES`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    import polars as pl

SOURCES = {"csv": "csv_source", "parquet": "parquet_source", "lean": "lean_source"}
"""Modules by format."""


class Source(Protocol):
    """What a module of a format has.

    Attributes
    ----------
    SUFFIXES : tuple of str
        Of the files of a folder that are imported.
    ZONE : str
        Of stamps that carry none, unless `ImportOptions.tz` says another.
    """

    SUFFIXES: tuple[str, ...]
    ZONE: str

    def select(self, paths: list[Path], options: Any) -> list[Path]:
        """Return those of some files that hold what `ImportOptions` ask for, in the order they are read."""

    def read(self, path: Path, options: Any) -> Iterator[pl.DataFrame]:
        """Read a file as frames that `validate` takes."""


def source_of(name: str) -> Source:
    """Return the source of a format in `SOURCES`."""
    return cast(Source, import_module(f"{__package__}.{SOURCES[name]}"))
