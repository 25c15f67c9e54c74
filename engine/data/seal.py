"""The checksums of a partition's file, of its footer and of each column chunk: a reader checks what it reads.

Parquet's own page checksums leave out page headers and the footer, and DuckDB does not check them. The seal lies
between the last page and the footer, where no reader looks: readers go by offsets. So it moves with the file, a rename
replaces both at once, and another program that rewrites the file drops it::

    PAR1 | column chunks | crc32 of each | their number | crc32 of seal and footer | magic | footer | its length | PAR1
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_MAGIC = b"MMSEAL1\n"
_TAIL = struct.Struct("<II8s")  # number of chunks, checksum of seal and footer, magic
_END = 8  # length of the footer and PAR1


class DamagedError(Exception):
    """A checksum does not fit the bytes; says which bytes."""


def add_seal(path: Path) -> None:
    """Seal a Parquet file that was just written. Cost: it is read once more, 0.4 ms a megabyte."""
    metadata = pq.read_metadata(path)
    with pa.memory_map(str(path)) as file:
        size = file.size()
        footer_start = _footer_start(file, size)
        footer = file.read_at(size - footer_start, footer_start)
        crcs = [zlib.crc32(file.read_at(length, start)) for start, length in _chunks(metadata)]
    listed = struct.pack(f"<{len(crcs)}I", *crcs) + struct.pack("<I", len(crcs))
    sealed = struct.pack("<I", zlib.crc32(footer, zlib.crc32(listed))) + _MAGIC
    with path.open("r+b") as target:
        target.seek(footer_start)
        target.write(listed + sealed + footer)


def read_seal(file: pa.NativeFile) -> tuple[int, ...] | None:
    """Return the checksums of the column chunks, row group by row group; None for a file that has no seal.

    Raises
    ------
    DamagedError
        If the seal or the footer does not fit its checksum.
    """
    size = file.size()
    start = _footer_start(file, size)
    if start < _TAIL.size:
        return None
    count, crc, magic = _TAIL.unpack(file.read_at(_TAIL.size, start - _TAIL.size))
    if magic != _MAGIC:
        return None
    first = start - _TAIL.size - 4 * count
    listed = file.read_at(4 * count + 4, first) if first > 0 else b""
    if zlib.crc32(file.read_at(size - start, start), zlib.crc32(listed)) != crc:
        raise DamagedError("the footer does not fit its checksum")
    return struct.unpack(f"<{count}I", listed[:-4])


def check_chunks(
    file: pa.NativeFile,
    metadata: pq.FileMetaData,
    seal: Sequence[int],
    groups: Iterable[int] | None = None,
    columns: Iterable[str] | None = None,
) -> None:
    """Raise `DamagedError` unless the column chunks fit their checksums; by default all. Cost: 0.4 ms a megabyte."""
    width = metadata.num_columns
    names = metadata.schema.names
    places = range(width) if columns is None else [names.index(name) for name in columns]
    for group in range(metadata.num_row_groups) if groups is None else groups:
        row_group = metadata.row_group(group)
        for place in places:
            start, length = _extent(row_group.column(place))
            file.seek(start)
            if zlib.crc32(file.read_buffer(length)) != seal[group * width + place]:
                raise DamagedError(f"column {names[place]} does not fit its checksum")


def _chunks(metadata: pq.FileMetaData) -> Iterator[tuple[int, int]]:
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for place in range(metadata.num_columns):
            yield _extent(row_group.column(place))


def _extent(chunk: pq.ColumnChunkMetaData) -> tuple[int, int]:
    """Return where a column chunk starts and how many bytes it has."""
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
        start = min(start, chunk.dictionary_page_offset)
    return start, chunk.total_compressed_size


def _footer_start(file: pa.NativeFile, size: int) -> int:
    """Return the offset of the footer; below 0 if the file is too short to have one."""
    if size < _END:
        return -1
    return size - _END - int.from_bytes(file.read_at(4, size - _END), "little")
