"""Exports as JSON files, plain or compressed: written with a checksum, and read by content, not by name."""

from __future__ import annotations

import gzip
import itertools
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

from mismartera.engine.export.document.document import Export
from mismartera.engine.export.writing.timings import drain
from mismartera.engine.files.atomic import draft, sync
from mismartera.engine.time.clock import Stopwatch
from mismartera.schemas.errors import NotAnExportError

from .checksum import KEY, Piece, problem_of, sealed
from .format import Content, Format, Written, writing

_BUFFER = 1 << 20
_COMPRESS_ABOVE = 1_000_000
_HEAD_BYTES = 1 << 18
_LEADING = re.compile(r'\s*\{\s*"_metadata"\s*:\s*')

Packing = Callable[[BinaryIO], AbstractContextManager[BinaryIO]]


class JsonFile(Format):
    """A JSON document in one file.

    Parameters
    ----------
    name : str
    magic : bytes
        What a file of it begins with; empty for plain JSON.
    pack, unpack : callable
        Open a stream over a binary file that compresses, or decompresses.
    """

    is_folder = False

    def __init__(self, name: str, magic: bytes, pack: Packing, unpack: Packing) -> None:
        self.name, self.magic, self._pack, self._unpack = name, magic, pack, unpack

    def write(self, path: Path, export: Export, *, replace: bool = True) -> Written:
        """Write an export; see `write_pieces`."""
        return self.write_pieces(path, export.pieces(), replace=replace)

    def write_pieces(self, path: Path, pieces: Iterable[Piece], *, replace: bool = True) -> Written:
        """Write the pieces of a document, with their checksum, to a file that appears whole or not at all.

        Parameters
        ----------
        path : Path
        pieces : iterable of bytes-like
            The document is never built whole in memory.
        replace : bool
            Whether an existing file is replaced; else the new one takes the first free suffix ``_2``, ``_3``, …
        """
        with writing(path), draft(path) as made:
            with made.path.open("xb", buffering=_BUFFER) as file:
                with self._pack(file) as packed:
                    drained = drain(sealed(pieces), packed.writelines)
                watch = Stopwatch()
                sync(file)
            target = made.publish(path, replace=replace, suffix=f".{self.name}")
            return Written(target, self.name, drained, watch.elapsed_s)

    def is_at(self, path: Path) -> bool:
        """Return whether a file begins as one of this compression does."""
        with path.open("rb") as raw:
            return raw.read(len(self.magic)) == self.magic

    def read(self, path: Path) -> Content:
        """Return a document whose checksum, if it has one, is right."""
        with self.opened(path) as file:
            text = file.read()
        document = _parsed(path, text)
        problem = problem_of(text, document)
        if problem:
            raise NotAnExportError(path, problem)
        return Content(document, None, document.pop(KEY, None) is not None)

    def read_metadata(self, path: Path) -> Any:
        """Return the ``_metadata``; where it comes first, no more of the file is read."""
        text = b""
        with self.opened(path) as file:
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

    def begins_like_export(self, path: Path, most: int = 256) -> bool:
        """Return whether a file is empty or begins with ``_metadata``; O(1)."""
        with self.opened(path) as file:
            head = file.read(most)
        return not head or _LEADING.match(head.decode("utf-8", "ignore")) is not None

    @contextmanager
    def opened(self, path: Path) -> Iterator[BinaryIO]:
        """Open a file for reading, decompressed; raises `NotAnExportError` where it cannot be read to its end."""
        try:
            with path.open("rb") as raw, self._unpack(raw) as file:
                yield file
        except (OSError, EOFError, zlib.error) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise NotAnExportError(path, f"it cannot be read: {reason}") from error


def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise NotAnExportError(path, f"it is not JSON, or cut off ({error})") from error
    if not isinstance(document, dict):
        raise NotAnExportError(path, "it holds no JSON object")
    return document


@contextmanager
def _as_it_is(file: BinaryIO) -> Iterator[BinaryIO]:
    yield file


@contextmanager
def _gzip_packed(file: BinaryIO) -> Iterator[BinaryIO]:
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as packed:
        yield cast(BinaryIO, packed)


@contextmanager
def _gzip_unpacked(file: BinaryIO) -> Iterator[BinaryIO]:
    with gzip.open(file) as unpacked:
        yield cast(BinaryIO, unpacked)


@contextmanager
def _zstd_packed(file: BinaryIO) -> Iterator[BinaryIO]:
    import zstandard

    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
    with compressor.stream_writer(file, closefd=False) as packed:
        yield cast(BinaryIO, _Joined(packed))


class _Joined:
    """Has the pieces of a chunk compressed in one call."""

    def __init__(self, packed: Any) -> None:
        self._packed = packed

    def writelines(self, pieces: Iterable[Piece]) -> None:
        self._packed.write(b"".join(pieces))


@contextmanager
def _zstd_unpacked(file: BinaryIO) -> Iterator[BinaryIO]:
    import zstandard

    try:
        with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False) as unpacked:
            yield cast(BinaryIO, unpacked)
    except zstandard.ZstdError as error:
        raise OSError(str(error)) from error


JSON = JsonFile("json", b"", _as_it_is, _as_it_is)
JSON_GZ = JsonFile("json.gz", b"\x1f\x8b", _gzip_packed, _gzip_unpacked)
JSON_ZST = JsonFile("json.zst", b"\x28\xb5\x2f\xfd", _zstd_packed, _zstd_unpacked)


def write_by_size(path: Path, export: Export, *, replace: bool = True) -> Written:
    """Write an export to a ``.json`` file, or to a ``.json.gz`` if it exceeds 1 MB."""
    pieces = iter(export.pieces())
    held: list[Piece] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > _COMPRESS_ABOVE:
            path = path.with_name(f"{path.name}.gz")
            return JSON_GZ.write_pieces(path, itertools.chain(held, pieces), replace=replace)
    return JSON.write_pieces(path, held, replace=replace)
