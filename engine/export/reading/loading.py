"""Reading exports back: any form, as plain data."""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson
import polars as pl

from mismartera.engine.export.writing.folders import FILES, read_folder, read_folder_metadata
from mismartera.schemas.errors import NotAnExportError

from .table_document import document_of

_HEAD_BYTES = 1 << 18
_MAGIC_BYTES = 256
_UNFIT = (AttributeError, LookupError, TypeError, ValueError, pl.exceptions.PolarsError)
_LEADING = re.compile(r'\s*\{\s*"_metadata"\s*:\s*')


def load_export(path: str | Path) -> dict[str, Any]:
    """Return an export as plain data, whatever its form: JSON, plain, gzipped or zstd, Arrow or Parquet.

    Parameters
    ----------
    path : str or Path
        File or folder. JSON's compression is told by its content, not by its name.

    Raises
    ------
    NotAnExportError
        If it does not exist, cannot be read to its end, or holds something else.
    """
    path = Path(path)
    try:
        document = document_of(*read_folder(path)) if os.path.isdir(path) else _parsed(path, _content(path))
    except NotAnExportError:
        raise
    except _UNFIT as error:  # tables or metadata of a folder that do not fit together
        reason = str(error).partition("\n")[0]
        raise NotAnExportError(path, f"its tables do not make one ({type(error).__name__}: {reason})") from error
    for name in ("_metadata", "session_data"):
        if not isinstance(document.get(name), dict):
            raise NotAnExportError(path, f"{name} is missing")
    return document


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Return the ``_metadata`` of an export; where it comes first in the file, no more than that is read.

    Raises
    ------
    NotAnExportError
        As `load_export`.
    """
    path = Path(path)
    metadata = read_folder_metadata(path).get("_metadata") if os.path.isdir(path) else _file_metadata(path)
    if not isinstance(metadata, dict):
        raise NotAnExportError(path, "_metadata is missing")
    return metadata


def is_export(path: Path) -> bool:
    """Return whether what is at a path looks like an export by its first bytes, or is empty; O(1) for a file."""
    if path.is_dir():
        files = list(path.iterdir())
        if not all(file.is_file() and file.name in FILES for file in files):
            return False
        return not files or "_metadata" in read_folder_metadata(path)
    if not path.is_file():
        return False
    with _opened(path) as file:
        head = file.read(_MAGIC_BYTES)
    return not head or _LEADING.match(head.decode("utf-8", "ignore")) is not None


def _file_metadata(path: Path) -> Any:
    text = b""
    with _opened(path) as file:
        while chunk := file.read(max(_HEAD_BYTES, len(text))):
            text += chunk
            head = text.decode("utf-8", "ignore")
            leading = _LEADING.match(head)
            if leading:
                try:
                    return json.JSONDecoder().raw_decode(head, leading.end())[0]
                except (ValueError, RecursionError):
                    continue  # cut in the middle: the next chunk completes it; or nothing will
    return _parsed(path, text).get("_metadata")


def _content(path: Path) -> bytes:
    with _opened(path) as file:
        return file.read()


def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise NotAnExportError(path, f"it is not JSON, or cut off ({error})") from error
    if not isinstance(document, dict):
        raise NotAnExportError(path, "it holds no JSON object")
    return document


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, decompressed; what goes wrong meanwhile is told as what it means."""
    try:
        with path.open("rb") as raw:
            magic = raw.read(4)
            raw.seek(0)
            if magic[:2] == b"\x1f\x8b":
                with gzip.open(raw) as unpacked:
                    yield cast(BinaryIO, unpacked)
            elif magic == b"\x28\xb5\x2f\xfd":
                with _zstd_opened(path, raw) as unpacked:
                    yield unpacked
            else:
                yield raw
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise NotAnExportError(path, f"it cannot be read: {reason}") from error


@contextmanager
def _zstd_opened(path: Path, raw: BinaryIO) -> Iterator[BinaryIO]:
    try:
        import zstandard
    except ImportError:
        raise NotAnExportError(
            path,
            "it is zstd, and the zstandard package is not installed",
            hint="pip install 'mismartera[zstd]', or unpack it first",
        ) from None
    try:
        with zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as unpacked:
            yield cast(BinaryIO, unpacked)
    except zstandard.ZstdError as error:
        raise NotAnExportError(path, f"it cannot be read: {error}") from error
