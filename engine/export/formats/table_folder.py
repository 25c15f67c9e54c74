"""Exports as folders: a file for each table, and ``metadata.json`` with their rows, bytes and CRC-32."""

from __future__ import annotations

import os
import zlib
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import pyarrow as pa

from mismartera.engine.export.document.document import Export
from mismartera.engine.export.tables.export_tables import export_tables
from mismartera.engine.export.tables.schemas import EXPORT_TABLES
from mismartera.engine.export.writing.timings import Drained
from mismartera.engine.files.atomic import draft, sync, sync_folder
from mismartera.engine.time.clock import Stopwatch
from mismartera.schemas.errors import NotAnExportError

from .checksum import KEY, problem_of, sealed
from .format import Content, Format, Written, writing

METADATA = "metadata.json"
_READ_BYTES = 1 << 20


class TableFolder(Format):
    """A folder with a file for each table.

    Attributes
    ----------
    suffix : str
        Of the tables' files.
    """

    is_folder = True
    suffix: str

    @abstractmethod
    def write_table(self, table: pa.Table, file: BinaryIO) -> None:
        """Write a table to an open file."""

    @abstractmethod
    def read_table(self, path: Path) -> pa.Table:
        """Return the table in a file; raises `OSError` or `pyarrow.ArrowException`."""

    @property
    def files(self) -> frozenset[str]:
        """Names of the files of such a folder."""
        return frozenset({METADATA, *(name + self.suffix for name in EXPORT_TABLES)})

    def write(self, path: Path, export: Export, *, replace: bool = True) -> Written:
        """Write an export as a folder. Every file is on disk before the folder gets its name."""
        watch = Stopwatch()
        tables = export_tables(export)
        drained = Drained(encode_s=watch.elapsed_s)
        with writing(path), draft(path) as made:
            made.path.mkdir()
            sync_s = self._fill(made.path, export, tables, drained)
            return Written(made.publish(path, replace=replace), self.name, drained, sync_s)

    def _fill(self, folder: Path, export: Export, tables: Mapping[str, pa.Table], drained: Drained) -> float:
        """Write all files of a folder; return the seconds it took to make them durable."""
        entries, sync_s = {}, 0.0
        for name, table in tables.items():
            with (folder / f"{name}{self.suffix}").open("wb") as file:
                counted = _Counted(file)
                sync_s += _written(file, drained, lambda table=table, to=counted: self.write_table(table, to))
            entries[name] = {"rows": table.num_rows, "bytes": counted.bytes, "crc32": f"{counted.crc:08x}"}
        text = orjson.dumps(folder_sections(export) | {"tables": entries}, option=orjson.OPT_INDENT_2)
        with (folder / METADATA).open("wb") as file:
            sync_s += _written(file, drained, lambda: file.writelines(sealed([text])))
        watch = Stopwatch()
        sync_folder(folder)
        return sync_s + watch.elapsed_s

    def is_at(self, path: Path) -> bool:
        """Return whether a folder holds bars in a file of this format."""
        return (path / f"session_bars{self.suffix}").is_file()

    def read(self, path: Path) -> Content:
        """Return the tables, each found to have the bytes, the CRC-32 and the rows that ``metadata.json`` says."""
        sections, is_sealed = read_folder_metadata(path)
        told = sections.pop("tables", {})
        if not isinstance(told, dict):
            raise NotAnExportError(path, f"{METADATA}: tables: expected an object, got {str(told)[:40]}")
        entries = {name: _entry(path, name, told.get(name, {})) for name in EXPORT_TABLES}
        tables = {name: self._table(path, name, entry) for name, entry in entries.items()}
        return Content(sections, tables, is_sealed and all("crc32" in entry for entry in entries.values()))

    def read_metadata(self, path: Path) -> Any:
        """Return the ``_metadata`` in ``metadata.json``."""
        return read_folder_metadata(path)[0].get("_metadata")

    def _table(self, path: Path, name: str, entry: Mapping[str, Any]) -> pa.Table:
        file, schema = path / f"{name}{self.suffix}", EXPORT_TABLES[name]
        try:
            _check_bytes(path, file, entry)
            table = self.read_table(file)
            if "crc32" not in entry:
                table.validate(full=True)  # else whoever reads damaged offsets may leave the table's memory
            names, types = table.schema.names, [_shown(field.type) for field in table.schema]
        except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise NotAnExportError(path, f"{file.name} cannot be read: {reason}") from error
        if names != schema.names:
            raise NotAnExportError(path, f"{file.name}: expected columns {schema.names}, got {names}")
        for field, found in zip(schema, types, strict=True):
            if not _is_alike(table.schema.field(field.name).type, field.type):
                raise NotAnExportError(path, f"{file.name}: {field.name}: expected {field.type}, got {found}")
        if table.num_rows != entry.get("rows", table.num_rows):
            raise NotAnExportError(path, f"{file.name}: expected {entry['rows']} rows, got {table.num_rows}")
        return table


def _shown(kind: pa.DataType, most: int = 80) -> str:
    """Return a type as one line of printable text: what damage made of it may be of any length and characters."""
    text = ascii(str(kind))[1:-1]
    return text if len(text) <= most else f"{text[:most]}…"


def folder_sections(export: Export) -> dict[str, Any]:
    """Return what of an export is beside its tables."""
    return {"_metadata": export.metadata, **export.sections, "session_data": export.session.head()}


def _written(file: BinaryIO, drained: Drained, write: Any) -> float:
    watch = Stopwatch()
    write()
    file.flush()
    drained.write_s += watch.elapsed_s
    watch = Stopwatch()
    sync(file)
    drained.bytes += file.tell()
    return watch.elapsed_s


def read_folder_metadata(path: Path) -> tuple[dict[str, Any], bool]:
    """Return a folder's ``metadata.json``, and whether it has a checksum; raises `NotAnExportError`."""
    try:
        text = (path / METADATA).read_bytes()
        sections = orjson.loads(text)
    except OSError as error:
        raise NotAnExportError(path, f"a folder without a readable {METADATA} ({error.strerror})") from error
    except orjson.JSONDecodeError as error:
        raise NotAnExportError(path, f"{METADATA} is not JSON: {error}") from error
    if not isinstance(sections, dict):
        raise NotAnExportError(path, f"{METADATA} holds no object")
    problem = problem_of(text, sections)
    if problem:
        raise NotAnExportError(path, f"{METADATA}: {problem}")
    return sections, sections.pop(KEY, None) is not None


def _entry(path: Path, name: str, told: Any) -> dict[str, Any]:
    """Return what a folder says of a table; exports of version 2.0 give only its rows."""
    entry = {"rows": told} if isinstance(told, int) else told
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key, 0), int) for key in ("rows", "bytes")):
        raise NotAnExportError(path, f"{METADATA}: tables.{name}: expected rows, bytes and crc32, got {str(told)[:40]}")
    return entry


def _check_bytes(path: Path, file: Path, entry: Mapping[str, Any]) -> None:
    """Raise `NotAnExportError` unless a file has the size and CRC-32 it had when it was written."""
    size = file.stat().st_size
    if size != entry.get("bytes", size):
        raise NotAnExportError(path, f"{file.name} is damaged: expected {entry['bytes']} bytes, got {size}")
    if "crc32" not in entry:
        return
    crc = 0
    with file.open("rb") as opened:
        while block := opened.read(_READ_BYTES):
            crc = zlib.crc32(block, crc)
    if f"{crc:08x}" != entry["crc32"]:
        raise NotAnExportError(path, f"{file.name} is damaged: expected CRC-32 {entry['crc32']}, got {crc:08x}")


def _is_alike(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Return whether a column can be read as `wanted`: names may be plain text, or a dictionary of another index."""
    plain = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in (found, wanted)]
    texts = [pa.types.is_string(kind) or pa.types.is_large_string(kind) for kind in plain]
    return bool(all(texts) or plain[0] == plain[1])


class _Counted:
    """A file being written, with the size and CRC-32 of what went into it."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.bytes, self.crc = file, 0, 0

    def write(self, data: bytes) -> int:
        self.crc = zlib.crc32(data, self.crc)
        self.bytes += len(memoryview(data).cast("B")) if not isinstance(data, bytes) else len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def tell(self) -> int:
        return self.bytes


def is_export_folder(path: Path, files: frozenset[str]) -> bool:
    """Return whether a folder is empty, or holds a ``metadata.json`` of an export and only `files`."""
    held = list(os.scandir(path))
    if not all(entry.is_file() and entry.name in files for entry in held):
        return False
    return not held or "_metadata" in read_folder_metadata(path)[0]
