"""`FORMATS`: every format of exports by name. A new one is a module beside this and a line in here."""

from __future__ import annotations

import os
from pathlib import Path

from mismartera.schemas.errors import NotAnExportError, UnknownNameError

from .arrow import ARROW
from .format import Format
from .json_file import JSON, JSON_GZ, JSON_ZST
from .parquet import PARQUET
from .table_folder import TableFolder, read_folder_metadata

FORMATS: dict[str, Format] = {one.name: one for one in (JSON, JSON_GZ, JSON_ZST, ARROW, PARQUET)}
"""Formats by name; a name is also the suffix of its file or folder."""

FOLDERS = tuple(name for name, one in FORMATS.items() if one.is_folder)
"""Names of the formats that are folders."""

FILES: frozenset[str] = frozenset().union(*(one.files for one in FORMATS.values() if isinstance(one, TableFolder)))
"""Names of all files that the folder of an export may hold."""


def suffix_format(path: Path) -> str | None:
    """Return the name of the format that a path's suffix names, None if it names none."""
    return next((name for name in FORMATS if path.name.endswith(f".{name}")), None)


def format_of(path: Path) -> str:
    """Return the name of the format that a path's suffix names.

    Raises
    ------
    UnknownNameError
        If it names none; the message lists those there are.
    """
    form = suffix_format(path)
    if form is None:
        suffix = "".join(path.suffixes[-2:]).removeprefix(".")
        hint = f"name the file {path.name.split('.')[0] or 'state'}.json, or so"
        raise UnknownNameError("export format", suffix, list(FORMATS), hint=hint)
    return form


def checked_format(form: str) -> str:
    """Return `form` if it is one of `FORMATS`; raises `UnknownNameError`."""
    if form not in FORMATS:
        raise UnknownNameError("export format", form, list(FORMATS))
    return form


def format_at(path: Path) -> Format:
    """Return the format of what is at a path, by its content; raises `NotAnExportError` if it cannot be read."""
    try:
        is_folder = os.path.isdir(path)
        if not is_folder and os.path.exists(path) and not os.path.isfile(path):
            raise NotAnExportError(path, "expected a file or a folder, got a device or a pipe")
        fitting = [one for one in FORMATS.values() if one.is_folder == is_folder and one.is_at(path)]
    except OSError as error:
        raise NotAnExportError(path, f"it cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a name with a NUL character
        raise NotAnExportError(path, f"it cannot be read: {error}") from error
    if not fitting:
        read_folder_metadata(path)
        files = " or ".join(f"session_bars{one.suffix}" for one in FORMATS.values() if isinstance(one, TableFolder))
        raise NotAnExportError(path, f"it holds no {files}")
    return fitting[-1]  # plain JSON, which has no magic number, comes before the compressed ones
