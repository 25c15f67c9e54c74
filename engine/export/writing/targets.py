"""Where an export is written: the target and format that a path names, and what may be replaced there."""

from __future__ import annotations

import os
from pathlib import Path

from mismartera.engine.export.document.document import Export
from mismartera.engine.export.formats.format import Written
from mismartera.engine.export.formats.json_file import JsonFile, write_by_size
from mismartera.engine.export.formats.registry import (
    FILES,
    FORMATS,
    checked_format,
    format_at,
    format_of,
    suffix_format,
)
from mismartera.engine.export.formats.table_folder import is_export_folder
from mismartera.engine.files.atomic import REPLACING
from mismartera.schemas.errors import ExportError, NotAnExportError


def status_name(session_name: str, *, complete: bool, stamp: str, form: str = "json") -> str:
    """Return the name of an export file.

    Parameters
    ----------
    session_name : str
        Spaces become underscores.
    complete : bool
    stamp : str
        ``YYYYMMDD_HHMMSS``, wall clock in the exchange's zone.
    form : str
        One of `FORMATS`.
    """
    return f"system_status_{session_name.replace(' ', '_')}_{'complete' if complete else 'delta'}_{stamp}.{form}"


def names_folder(path: str | Path) -> bool:
    """Return whether exports go into what a path names: a folder, there or meant by a slash at its end.

    One whose name ends in a form's suffix is itself an export, or is to become one.
    """
    meant = str(path).endswith("/") or (str(path) != "" and os.path.isdir(path))
    return meant and suffix_format(Path(os.path.realpath(path))) is None


def target_of(path: Path, form: str | None = None) -> Path:
    """Return where an export to `path` is written: a link is followed, and a name without suffix gets one.

    Parameters
    ----------
    path : Path
    form : str, optional
        One of `FORMATS`; by default the one the suffix names, or JSON.

    Raises
    ------
    UnknownNameError
        If the suffix or `form` is none of them.
    ExportError
        If the path names no file, or suffix, `form` and the name behind a link contradict each other.
    """
    if not path.name or "\0" in str(path):
        raise ExportError(f"{str(path)!r} names no file: expected one such as state.json")
    real = Path(os.path.realpath(path)) if os.path.islink(path) else path
    if os.path.islink(real):
        raise ExportError(f"{path}: expected a file, and it is a link that leads back to itself", hint="remove it")
    if real is path and not path.suffix:
        real = path.with_name(f"{path.name}.{checked_format('json' if form is None else form)}")
    there = format_of(real)
    for asked in (form, format_of(path) if path.suffix else None):
        if asked is not None and checked_format(asked) != there:
            raise ExportError(
                f"{path}: expected an export to {asked}, and the suffix of {real.name} means {there}",
                hint="name the form once, as the suffix of the file",
            )
    return real


def require_replaceable(path: Path) -> None:
    """Raise `ExportError` where something is at `path` that is no export: such a thing is not replaced."""
    with REPLACING:
        before = _identity(path)
        try:
            replaceable = before is None or is_export(path)
        except (NotAnExportError, OSError):
            replaceable = False
        if replaceable:
            return
        if _identity(path) != before:
            raise ExportError(f"{path}: another process wrote there at the same time", hint="export again")
    other = sorted(set(os.listdir(path)) - FILES) if os.path.isdir(path) else []
    held = f" (it holds {other[0]})" if other else ""
    raise ExportError(
        f"{path}: what is there is not an export{held}, and is not replaced",
        hint="choose another name, or move it away",
    )


def write_export(
    path: Path, export: Export, *, form: str | None = None, replace: bool = True, auto_compress: bool = False
) -> Written:
    """Write an export in the form its path's suffix names. It appears whole or not at all.

    Parameters
    ----------
    path : Path
        See `target_of`.
    export : Export
    form : str, optional
        One of `FORMATS`, for a path without suffix; by default JSON.
    replace : bool
        Whether what is there is replaced; else the new one takes the first free suffix ``_2``, ``_3``, …
    auto_compress : bool
        Whether a ``.json`` that turns out above 1 MB becomes a ``.json.gz``.

    Raises
    ------
    UnknownNameError
        If the suffix or `form` names no form.
    ExportError
        If it could not be written, nothing is left there; or if what it would replace is no export.
    """
    path = target_of(path, form)
    if replace:
        require_replaceable(path)
        if auto_compress and path.suffix == ".json":
            require_replaceable(path.with_name(f"{path.name}.gz"))
    if auto_compress and path.suffix == ".json":
        return write_by_size(path, export, replace=replace)
    return FORMATS[format_of(path)].write(path, export, replace=replace)


def is_export(path: Path) -> bool:
    """Return whether what is at a path looks like an export by its first bytes, or is empty; O(1) for a file."""
    if path.is_dir():
        return is_export_folder(path, FILES)
    found = format_at(path) if path.is_file() else None
    return isinstance(found, JsonFile) and found.begins_like_export(path)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells one file from another under the same name; None where nothing is seen there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
