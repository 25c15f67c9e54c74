"""Exports as folders of Arrow IPC streams or Parquet files, one per table, with ``metadata.json`` beside them."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from mismartera.engine.export.document.document import Export
from mismartera.engine.export.tables.export_tables import export_tables
from mismartera.engine.export.tables.schemas import EXPORT_TABLES
from mismartera.engine.time.clock import Stopwatch
from mismartera.schemas.errors import NotAnExportError

from .files import Written, settle, sync_folder, write_failed
from .partial import ASIDE, sweep, unused_name
from .timings import Drained

METADATA = "metadata.json"
FOLDERS = {"arrow": ".arrows", "parquet": ".parquet"}
"""Forms that are folders, and the suffix of their tables' files."""

FILES = frozenset({METADATA, *(name + suffix for name in EXPORT_TABLES for suffix in FOLDERS.values())})
"""Names of all files an export folder may hold."""

REPLACING = threading.Lock()
"""Held while a folder's name is given to another one, and by who looks at what bears it."""

_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


def write_folder(path: Path, export: Export, *, replace: bool = True) -> Written:
    """Write an export as a folder that appears whole or not at all.

    Parameters
    ----------
    path : Path
        Its suffix, ``.arrow`` or ``.parquet``, tells the form.
    export : Export
    replace : bool
        Whether what is there is replaced; else the new one takes the first free suffix ``_2``, ….

    Raises
    ------
    ExportError
        If it cannot be written; nothing partial is left.

    Notes
    -----
    Written into a hidden folder beside the target, every file flushed to disk, then renamed. Of two folders in turn
    under one name the older is moved aside first: a process killed in between leaves none under that name.
    """
    form = path.suffix.removeprefix(".")
    watch = Stopwatch()
    tables = export_tables(export)
    metadata = orjson.dumps(_metadata(export, tables), option=orjson.OPT_INDENT_2) + b"\n"
    drained = Drained(encode_s=watch.elapsed_s)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent.resolve())
        partial = unused_name(path)
        partial.mkdir()
    except OSError as error:
        raise write_failed(path, error) from error
    try:
        sync_s = _fill(partial, form, tables, metadata, drained)
        fresh = not (replace and path.exists())
        if replace:
            _replace(partial, path)
        target = path if replace else _add(partial, path)
        settle(target, fresh=fresh)
    except OSError as error:
        raise write_failed(path, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Written(target, form, drained, sync_s)


def _metadata(export: Export, tables: dict[str, pa.Table]) -> dict[str, Any]:
    rows = {name: table.num_rows for name, table in tables.items()}
    return {
        "_metadata": export.metadata,
        **export.sections,
        "session_data": export.session.head(),
        "tables": rows,
    }


def _fill(folder: Path, form: str, tables: dict[str, pa.Table], metadata: bytes, drained: Drained) -> float:
    """Write all files of a folder; return the seconds it took to make them durable."""
    sync_s = 0.0
    writers: dict[str, Callable[[BinaryIO], object]] = {METADATA: lambda file: file.write(metadata)}
    for name, table in tables.items():
        writers[name + FOLDERS[form]] = _writer(form, table)
    for name, write in writers.items():
        with (folder / name).open("wb") as file:
            watch = Stopwatch()
            write(file)
            file.flush()
            drained.write_s += watch.elapsed_s
            watch = Stopwatch()
            os.fsync(file.fileno())
            sync_s += watch.elapsed_s
            drained.bytes += file.tell()
    watch = Stopwatch()
    sync_folder(folder)
    return sync_s + watch.elapsed_s


def _writer(form: str, table: pa.Table) -> Callable[[BinaryIO], object]:
    if form == "parquet":
        return lambda file: pq.write_table(table, file, compression="zstd", version="2.6")

    def write(file: BinaryIO) -> None:
        with pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table)

    return write


def _replace(partial: Path, path: Path) -> None:
    """Give the finished folder the name of what is there, which is moved aside first; what cannot be done is undone."""
    aside, is_there = unused_name(path, ASIDE), False
    try:
        with REPLACING:
            try:
                _swap(partial, path, aside)
            finally:
                is_there = path.exists()  # else what was there could not be given its name back, and is kept
    except OSError as error:
        if error.errno in _TAKEN:
            raise OSError(error.errno, "another process wrote there at the same time") from error
        raise
    finally:
        if is_there:
            _remove(aside)


def _swap(partial: Path, path: Path, aside: Path) -> None:
    with suppress(FileNotFoundError):
        os.rename(path, aside)
    try:
        os.rename(partial, path)
    except OSError:
        with suppress(FileNotFoundError):
            os.rename(aside, path)
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _add(partial: Path, path: Path) -> Path:
    """Give the finished folder the first free name. A rename onto a folder with files in it fails: none is lost."""
    for number in itertools.count(1):
        candidate = path if number == 1 else path.with_name(f"{path.stem}_{number}{path.suffix}")
        try:
            os.rename(partial, candidate)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            continue
        return candidate
    raise AssertionError("the numbers do not end")


def read_folder(path: Path) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    """Return the tables and the content of ``metadata.json`` of an export folder.

    Raises
    ------
    NotAnExportError
        If the folder is no export, or a file of it is absent or damaged.
    """
    metadata = read_folder_metadata(path)
    found = [suffix for suffix in FOLDERS.values() if (path / f"session_bars{suffix}").is_file()]
    if not found:
        raise NotAnExportError(path, f"it holds no session_bars{' or session_bars'.join(FOLDERS.values())}")
    tables = {}
    for name, schema in EXPORT_TABLES.items():
        file = path / f"{name}{found[0]}"
        try:
            tables[name] = pq.read_table(file) if found[0] == ".parquet" else _read_stream(file)
        except (OSError, pa.ArrowException) as error:
            raise NotAnExportError(path, f"{file.name} cannot be read: {error}") from error
        if tables[name].schema.names != schema.names:
            raise NotAnExportError(path, f"{file.name} has columns {tables[name].schema.names}, not {schema.names}")
    return tables, metadata


def read_folder_metadata(path: Path) -> dict[str, Any]:
    """Return the content of an export folder's ``metadata.json``; raises `NotAnExportError`."""
    try:
        metadata = orjson.loads((path / METADATA).read_bytes())
    except OSError as error:
        raise NotAnExportError(path, f"a folder without a readable {METADATA} ({error.strerror})") from error
    except orjson.JSONDecodeError as error:
        raise NotAnExportError(path, f"{METADATA} is not JSON: {error}") from error
    if not isinstance(metadata, dict):
        raise NotAnExportError(path, f"{METADATA} holds no object")
    return metadata


def _read_stream(file: Path) -> pa.Table:
    with file.open("rb") as source, pa.ipc.open_stream(source) as stream:
        return stream.read_all()
