"""The forms an export can take on disk, and the writer of each."""

from __future__ import annotations

from pathlib import Path

from mismartera.schemas.errors import ExportError, NotAnExportError, UnknownNameError

from .arrow_files import FOLDERS, write_folder
from .document import Export
from .files import Written, write_file
from .loading import is_export

FORMATS = ("json", "json.gz", "json.zst", *FOLDERS)
"""Names of the forms; each is also the suffix of its file or folder."""


def format_of(path: Path) -> str:
    """Return the form a path's suffix names.

    Raises
    ------
    UnknownNameError
        If it names none; the message lists those there are.
    """
    for form in FORMATS:
        if path.name.endswith(f".{form}"):
            return form
    suffix = "".join(path.suffixes[-2:]).removeprefix(".")
    raise UnknownNameError(
        "export format", suffix, FORMATS, hint=f"name the file {path.name.split('.')[0] or 'state'}.json, or so"
    )


def checked_format(form: str) -> str:
    """Return `form` if it is one of `FORMATS`; raises `UnknownNameError`."""
    if form not in FORMATS:
        raise UnknownNameError("export format", form, FORMATS)
    return form


def require_replaceable(path: Path) -> None:
    """Raise `ExportError` where something is at `path` that is no export: such a thing is not replaced."""
    try:
        replaceable = not path.exists() or is_export(path)
    except (NotAnExportError, OSError):
        replaceable = False
    if not replaceable:
        raise ExportError(
            f"{path}: what is there is not an export, and is not replaced", hint="choose another name, or move it away"
        )


def write_export(path: Path, export: Export, *, replace: bool = True, auto_compress: bool = False) -> Written:
    """Write an export in the form its path's suffix names: JSON where it has none. It appears whole or not at all.

    Parameters
    ----------
    path : Path
    export : Export
    replace : bool
        Whether what is there is replaced; else the new one takes the first free suffix ``_2``, ``_3``, …
    auto_compress : bool
        Whether a ``.json`` that turns out above 1 MB becomes a ``.json.gz``.

    Raises
    ------
    UnknownNameError
        If the suffix names no form.
    ExportError
        If it could not be written, nothing is left there; or if what it would replace is no export.
    """
    if not path.name or "\0" in str(path):
        raise ExportError(f"{str(path)!r} names no file: expected one such as state.json")
    if not path.suffix:
        path = path.with_name(f"{path.name}.json")
    form = format_of(path)
    if replace:
        require_replaceable(path)
    if form in FOLDERS:
        return write_folder(path, export, replace=replace)
    return write_file(path, export.pieces(), replace=replace, auto_compress=auto_compress)
