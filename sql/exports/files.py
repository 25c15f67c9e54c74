"""Export files as they are read: their form, their metadata, checked member by member, and JSON as plain data."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from mismartera.sql.errors import ExportsError

METADATA = "metadata.json"
SUFFIXES = (".json", ".json.gz", ".json.zst", ".parquet", ".arrow")
"""Of the names of exports; the last two are folders."""
_FIRST_BYTES, _MOST_BYTES = 1 << 16, 1 << 30


def format_of(path: Path) -> str:
    """Return an export's form, "" for what is none: ``json``, ``json.gz``, ``json.zst``, ``parquet``, ``arrow``."""
    if path.name[0] == ".":
        return ""
    if path.is_dir():
        if not (path / METADATA).is_file():
            return ""
        return "parquet" if any(path.glob("*.parquet")) else "arrow"
    return next((suffix[1:] for suffix in SUFFIXES[:3] if path.name.endswith(suffix)), "")


def load_document(path: Path) -> dict[str, Any]:
    """Return a JSON export as plain data; raises `ExportsError` if it is none."""
    try:
        document = orjson.loads(_read(path))
    except orjson.JSONDecodeError as error:
        raise ExportsError(f"{path}: not a whole JSON export: {error}", path=path) from error
    if not isinstance(document, dict) or "session_data" not in document:
        raise ExportsError(f"{path}: no export: it has no session_data", path=path)
    _check_objects(path, document)
    return document


def load_folder_metadata(path: Path) -> dict[str, Any]:
    """Return the ``metadata.json`` of an export folder; raises `ExportsError` if it is none."""
    document = _object(path / METADATA, (path / METADATA).read_bytes() if (path / METADATA).is_file() else b"")
    _check_objects(path / METADATA, document)
    return document


def _check_objects(path: Path, document: dict[str, Any]) -> None:
    """Raise unless the parts of an export that are read from every form are there and of their types."""
    for name in ("system_manager", "performance_metrics", "threads", "session_config", "tables"):
        found = document.get(name, {} if name != "system_manager" else None)
        if not isinstance(found, dict):
            raise ExportsError(f"{path}: no export: {name}: expected an object, it is {_shown(found)}", path=path)
    for name, section in document.get("threads", {}).items():
        if not isinstance(section, dict):
            raise ExportsError(f"{path}: threads.{name}: expected an object, it is {_shown(section)}", path=path)
    zone = document["system_manager"].get("timezone")
    if not isinstance(zone, str) or not _is_zone(zone):
        raise ExportsError(
            f"{path}: system_manager.timezone: expected the name of a time zone, it is {_shown(zone)}",
            path=path,
            hint="a name is such as America/New_York",
        )


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, such as America
        return False
    return True


def metadata_of(path: Path) -> dict[str, Any]:
    """Return the ``_metadata`` of an export, all its members there and of their types; else raises `ExportsError`."""
    document = load_folder_metadata(path) if path.is_dir() else {"_metadata": _first_member(path)}
    found = document.get("_metadata")
    names = [name for name in _MEMBERS if name not in _OPTIONAL]
    missing = [name for name in names if not isinstance(found, dict) or name not in found]
    if not isinstance(found, dict) or missing:
        raise ExportsError(f"{path}: no export: its _metadata lacks {', '.join(missing)}", path=path)
    for name, (expected, fits) in _MEMBERS.items():
        if name in found and not fits(found[name]):
            told = f"_metadata.{name}: expected {expected}, it is {_shown(found[name])}"
            raise ExportsError(f"{path}: {told}", path=path)
    if not found["complete"] and "base_sequence" not in found:
        raise ExportsError(f"{path}: its _metadata lacks base_sequence, which every delta has", path=path)
    return found


def _shown(value: object, most: int = 60) -> str:
    text = "missing or null" if value is None else repr(value)
    return text if len(text) <= most else f"{text[:most]}…"


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_moment(value: object) -> bool:
    try:
        return dt.datetime.fromisoformat(cast(str, value)).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _is_date(value: object) -> bool:
    try:
        return bool(dt.date.fromisoformat(cast(str, value)))
    except (TypeError, ValueError):
        return value is None


_OPTIONAL = ("base_sequence", "session_date", "mode", "reset")
_MEMBERS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "consumer": ("a text", lambda value: isinstance(value, str)),
    "sequence": ("a whole number from 1", lambda value: _is_count(value) and cast(int, value) < 1 << 63),
    "complete": ("true or false", lambda value: isinstance(value, bool)),
    "generated_at": ("an instant with its offset from UTC", _is_moment),
    "base_sequence": ("a whole number from 1, or null", lambda value: value is None or _is_count(value)),
    "session_date": ("a date, or null", _is_date),
    "mode": ("a text, or null", lambda value: isinstance(value, str | None)),
    "reset": ("true, false or null", lambda value: isinstance(value, bool | None)),
}


def _first_member(path: Path) -> Any:
    """Return the first member of a JSON object, which is ``_metadata``, without reading all of the file."""
    decoder = json.JSONDecoder()
    size = _FIRST_BYTES
    while size <= _MOST_BYTES:
        head = _read(path, size)
        text = head.decode("utf-8", errors="replace")
        begin = text.find("{", text.find('"_metadata"'))
        try:
            return decoder.raw_decode(text, begin)[0] if '"_metadata"' in text else None
        except json.JSONDecodeError as error:
            if len(head) < size:
                raise ExportsError(f"{path}: not a whole JSON export: {error}", path=path) from error
        size *= 8
    raise ExportsError(f"{path}: its _metadata does not end within {_MOST_BYTES:,} bytes", path=path)


def _read(path: Path, size: int = -1) -> bytes:
    """Return the first `size` bytes of what a file holds uncompressed, by default all."""
    try:
        with _open(path) as file:
            return file.read(size)
    except (OSError, EOFError, ValueError, zlib.error, _zstd_error(path)) as error:
        raise ExportsError(
            f"{path}: cannot be read: {error}", path=path, hint="make the export again, or leave it out"
        ) from error


def _open(path: Path) -> IO[bytes]:
    if path.name.endswith(".gz"):
        return cast(IO[bytes], gzip.open(path, "rb"))
    if path.name.endswith(".zst"):
        return cast(IO[bytes], _zstandard(path).open(path, "rb"))
    return path.open("rb")


def _zstandard(path: Path) -> Any:
    try:
        import zstandard
    except ImportError:
        raise ExportsError(
            f"{path}: .zst needs the zstandard package, which is not installed",
            path=path,
            hint="pip install 'mismartera[zstd]'",
        ) from None
    return zstandard


def _zstd_error(path: Path) -> type[Exception]:
    """Return what the package of a compressed file raises, which is none of the builtin errors."""
    return cast(type[Exception], _zstandard(path).ZstdError) if path.name.endswith(".zst") else EOFError


def _object(path: Path, text: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ExportsError(f"{path}: not JSON: {error}", path=path) from error
    if not isinstance(document, dict):
        raise ExportsError(f"{path}: holds no JSON object", path=path)
    return document
