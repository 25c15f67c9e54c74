"""Export files: their names, and a write that leaves a whole file or none."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from mismartera.schemas.errors import ExportError

from .session_section import Piece

_BUFFER = 1 << 20


def status_name(session_name: str, *, complete: bool, stamp: str) -> str:
    """Return the name of an export file.

    Parameters
    ----------
    session_name : str
        Spaces become underscores.
    complete : bool
    stamp : str
        ``YYYYMMDD_HHMMSS``, wall clock in the exchange's zone.
    """
    return f"system_status_{session_name.replace(' ', '_')}_{'complete' if complete else 'delta'}_{stamp}.json"


def unused(path: Path) -> Path:
    """Return `path`, or where it exists the same name with the first free suffix ``_2``, ``_3``, …"""
    candidate, number = path, 1
    stem, suffixes = path.name.split(".", 1)[0], "".join(path.suffixes)
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{stem}_{number}{suffixes}")
    return candidate


def write_file(path: Path, pieces: Iterable[Piece]) -> int:
    """Write pieces to a file that appears whole or not at all, and return its size in bytes.

    Parameters
    ----------
    path : Path
        ``.json.gz`` and ``.json.zst`` compress. An existing file is replaced.
    pieces : iterable of bytes-like

    Raises
    ------
    ExportError
        If the folder cannot be written or the disk is full; no partial file is left.

    Notes
    -----
    Written beside the target, flushed to disk, then renamed; the document is never built whole in memory.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise _failed(path, error) from error
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb", buffering=_BUFFER) as file:
            _write(file, path, pieces)
            file.flush()
            os.fsync(file.fileno())
        size = partial.stat().st_size
        partial.chmod(0o644)
        os.replace(partial, path)
    except OSError as error:
        raise _failed(path, error) from error
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()
    _sync_folder(path.parent)
    return size


def _write(file: BinaryIO, path: Path, pieces: Iterable[Piece]) -> None:
    if path.name.endswith(".gz"):
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as packed:
            packed.writelines(pieces)
    elif path.name.endswith(".zst"):
        _write_zstd(file, path, pieces)
    else:
        file.writelines(pieces)


def _write_zstd(file: BinaryIO, path: Path, pieces: Iterable[Piece]) -> None:
    try:
        import zstandard
    except ImportError:
        raise ExportError(
            f"{path}: .zst needs the zstandard package, which is not installed",
            hint="pip install 'mismartera[zstd]', or export to .json.gz",
        ) from None
    with zstandard.ZstdCompressor(level=3).stream_writer(file, closefd=False) as packed:
        for piece in pieces:
            packed.write(piece)


def _sync_folder(folder: Path) -> None:
    """Make the rename durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _failed(path: Path, error: OSError) -> ExportError:
    return ExportError(
        f"{path}: the export could not be written: {error.strerror or error}; nothing was left there",
        hint="the consumer's cursor did not move: free space or name another folder, and export again",
    )
