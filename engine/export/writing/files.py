"""Export files: their names, and a write that leaves a whole file or none."""

from __future__ import annotations

import gzip
import itertools
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mismartera.engine.export.document.session_section import Piece
from mismartera.engine.time.clock import Stopwatch
from mismartera.schemas.errors import ExportError

from .partial import sweep, unused_name
from .timings import Drained, drain

_BUFFER = 1 << 20
_COMPRESS_ABOVE = 1_000_000


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
        One of `formats.FORMATS`.
    """
    return f"system_status_{session_name.replace(' ', '_')}_{'complete' if complete else 'delta'}_{stamp}.{form}"


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written.

    Attributes
    ----------
    path : Path
    format : str
        One of `formats.FORMATS`.
    drained : Drained
    sync_s : float
        Seconds to make it durable.
    """

    path: Path
    format: str
    drained: Drained
    sync_s: float


def write_file(path: Path, pieces: Iterable[Piece], *, replace: bool = True, auto_compress: bool = False) -> Written:
    """Write pieces to a file that appears whole or not at all.

    Parameters
    ----------
    path : Path
        ``.json.gz`` and ``.json.zst`` compress.
    pieces : iterable of bytes-like
    replace : bool
        Whether an existing file is replaced; else the new one takes the first free suffix ``_2``, ``_3``, …
    auto_compress : bool
        Whether a ``.json`` that turns out above 1 MB becomes a ``.json.gz``.

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
        sweep(path.parent.resolve())
        partial = unused_name(path)
        opened = partial.open("xb", buffering=_BUFFER)
    except OSError as error:
        raise write_failed(path, error) from error
    try:
        with opened as file:
            if auto_compress and path.name.endswith(".json"):
                path, pieces = _suffix_by_size(path, pieces)
            drained = _write(file, path, pieces)
            watch = Stopwatch()
            file.flush()
            os.fsync(file.fileno())
        fresh = not (replace and path.exists())
        target = _put(partial, path, replace=replace)
        settle(target, fresh=fresh)
    except OSError as error:
        if isinstance(error, ExportError):
            raise
        raise write_failed(path, error) from error
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()
    return Written(target, ".".join(path.name.split(".")[-2:]) if _packed(path) else "json", drained, watch.elapsed_s)


def _put(partial: Path, path: Path, *, replace: bool) -> Path:
    """Give the finished file its name; a link fails where the name is taken, so nothing is ever overwritten by it."""
    if replace:
        os.replace(partial, path)
        return path
    suffix = next((end for end in (".json.gz", ".json.zst", ".json") if path.name.endswith(end)), path.suffix)
    stem = path.name.removesuffix(suffix)
    for number in itertools.count(1):
        candidate = path if number == 1 else path.with_name(f"{stem}_{number}{suffix}")
        try:
            os.link(partial, candidate)
        except FileExistsError:
            continue
        return candidate
    raise AssertionError("the numbers do not end")


def _suffix_by_size(path: Path, pieces: Iterable[Piece]) -> tuple[Path, Iterable[Piece]]:
    """Draw pieces up to the limit, to know whether the file is to be compressed, and put them back in front."""
    iterator = iter(pieces)
    held: list[Piece] = []
    size = 0
    for piece in iterator:
        held.append(piece)
        size += len(piece)
        if size > _COMPRESS_ABOVE:
            path = path.with_name(f"{path.name}.gz")
            break
    return path, itertools.chain(held, iterator)


def _packed(path: Path) -> bool:
    return path.name.endswith((".gz", ".zst"))


def _write(file: BinaryIO, path: Path, pieces: Iterable[Piece]) -> Drained:
    if path.name.endswith(".gz"):
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as packed:
            return drain(pieces, packed.writelines)
    if path.name.endswith(".zst"):
        with _zstd(path).stream_writer(file, closefd=False) as packed:
            return drain(pieces, lambda chunk: packed.write(b"".join(chunk)))
    return drain(pieces, file.writelines)


def _zstd(path: Path) -> Any:
    try:
        import zstandard
    except ImportError:
        raise ExportError(
            f"{path}: .zst needs the zstandard package, which is not installed",
            hint="pip install 'mismartera[zstd]', or export to .json.gz",
        ) from None
    return zstandard.ZstdCompressor(level=3)


def settle(target: Path, *, fresh: bool) -> None:
    """Make a rename durable. Where that fails the export did too, and a name that was free before is freed again."""
    try:
        sync_folder(target.parent)
    except OSError:
        if fresh and target.is_dir():
            shutil.rmtree(target)
        elif fresh:
            target.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Make what was created or renamed in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_failed(path: Path, error: OSError) -> ExportError:
    """Return the error that tells why an export could not be written to `path`."""
    return ExportError(
        f"{path}: the export could not be written: {error.strerror or error}; nothing was left there",
        hint="the consumer's cursor did not move: free space or name another folder, and export again",
    )
