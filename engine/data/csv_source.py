"""CSV sources: plain, gzipped or zipped, with a header or without, read block by block as texts."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl

from mismartera.schemas.errors import ImportDataError

from .options import OPTIONAL, ImportOptions, match_columns, require_columns, require_own
from .stamps import resolve

SUFFIXES = (".csv", ".txt", ".tsv", ".gz", ".zip")
BLOCK_BYTES = 32 * 2**20
"""Text read at once; what a block needs in memory is about ten times as much."""
_DELIMITERS = (";", "\t", "|", ",")


def read_csv(path: Path, options: ImportOptions) -> Iterator[pl.DataFrame]:
    """Read a file as frames that `validate` takes: ``source, row, symbol`` and our columns, all texts.

    Raises
    ------
    ImportDataError
        If the file is truncated, empty, or its columns cannot be told.
    """
    with readable(path):
        for label, stream in open_members(path):
            yield from _read_member(label, stream, options)


def open_members(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    """Open a plain or gzipped file, or each member of a zip, by what it is and not by its name.

    Yields
    ------
    label : str
        Path of the file, and of a member of a zip of several ``path:member``.
    stream : binary file
    """
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic[:2] == b"\x1f\x8b":
            with gzip.open(file) as unzipped:
                yield str(path), cast(BinaryIO, unzipped)
        elif magic[:2] == b"PK":
            with zipfile.ZipFile(file) as archive:
                members = [name for name in sorted(archive.namelist()) if _is_data(name)]
                if not members:
                    raise ImportDataError(f"{path}: the zip holds no file", path=path)
                for name in members:
                    with archive.open(name) as member:
                        yield str(path) if len(members) == 1 else f"{path}:{name}", cast(BinaryIO, member)
        else:
            yield str(path), file


def _is_data(member: str) -> bool:
    return not member.endswith("/") and not member.startswith("__MACOSX/") and member.rpartition("/")[2][:1] != "."


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what goes wrong when a file is read or unpacked into `ImportDataError`."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ImportDataError(
            f"{path}: truncated or damaged: {error}", path=path, hint="fetch the file again; importing again is safe"
        ) from error
    except OSError as error:
        raise ImportDataError(f"{path}: cannot be read: {error.strerror or error}", path=path) from error


def _read_member(label: str, stream: BinaryIO, options: ImportOptions) -> Iterator[pl.DataFrame]:
    """Read delimited text; the first block says what delimiter and columns the whole of it has."""
    layout: Layout | None = None
    for frame in read_lines(stream):
        if layout is None:
            layout = Layout.found(label, frame["line"].head(50).to_list(), options)
            frame = frame if layout.header is None else frame.slice(1)
        yield layout.split(frame, label, options)
    if layout is None:
        raise ImportDataError(f"{label}: the file is empty", path=label)


def read_lines(stream: BinaryIO) -> Iterator[pl.DataFrame]:
    """Read a text as frames ``row: i64`` (line number, from 1), ``line: str``, without blank lines, block by block."""
    first = 1
    for text in _blocks(stream):
        lines = pl.Series("line", [text]).str.split("\n").explode().str.strip_chars_end("\r")
        if text.endswith("\n"):
            lines = lines.head(-1)
        rows = pl.int_range(first, first + len(lines), dtype=pl.Int64, eager=True).alias("row")
        first += len(lines)
        frame = pl.DataFrame([rows, lines]).filter(pl.col("line").str.strip_chars() != "")
        if len(frame):
            yield frame


def _blocks(stream: BinaryIO) -> Iterator[str]:
    """Yield the text in blocks that end with a line."""
    rest, is_first = b"", True
    while block := stream.read(BLOCK_BYTES):
        whole, newline, tail = (rest + block).rpartition(b"\n")
        if not newline:
            rest = tail
            continue
        yield _text(whole + newline, is_first=is_first)
        rest, is_first = tail, False
    if rest:
        yield _text(rest, is_first=is_first)


def _text(block: bytes, *, is_first: bool) -> str:
    if is_first and block[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ImportDataError("the text is UTF-16; save it as UTF-8 and import that")
    return block.decode("utf-8-sig" if is_first else "utf-8", errors="replace")


class Layout:
    """How a text is delimited, and which of our columns stands where."""

    def __init__(self, delimiter: str, width: int, places: dict[str, int], header: Sequence[str] | None) -> None:
        self.delimiter = delimiter
        self.width = width
        self.places = places
        self.header = header

    @classmethod
    def found(cls, label: str, lines: Sequence[str], options: ImportOptions) -> Layout:
        """Find out the layout from the first lines, as far as the options leave it open."""
        delimiter = options.delimiter or _sniffed(lines)
        first = _cells(lines[0], delimiter)
        has_header = bool(first) and not any(_is_number(cell) or _is_stamp(cell, options) for cell in first)
        if options.positions or not has_header:
            if options.names or options.ignored:
                raise ImportDataError(
                    f"{label}: --columns gives names, but the file has no header; first line {lines[0][:80]!r}",
                    path=label,
                    hint='give positions: --columns "' + ",".join(options.fields) + '"',
                )
            columns = options.positions or _guessed(first, options, label)
            places = {ours: place for place, ours in enumerate(columns) if ours != "-"}
            require_columns({ours: ours for ours in places}, options, label, columns)
            if len(columns) > len(first):
                raise _misfit(label, first, columns)
        else:
            places = {ours: first.index(theirs) for ours, theirs in match_columns(first, options, label).items()}
        return cls(delimiter, len(first), places, first if has_header else None)

    def split(self, frame: pl.DataFrame, label: str, options: ImportOptions) -> pl.DataFrame:
        """Split lines into our columns; ``misfit`` says of a line with too many fields that it has."""
        cells = frame["line"].str.splitn(self.delimiter, self.width + 1).struct.unnest()
        if frame["line"].str.contains('"', literal=True).any():
            cells = cells.with_columns(pl.all().str.strip_chars().str.strip_chars('"'))
        extra = pl.col(f"field_{self.width}").fill_null("").str.strip_chars(self.delimiter + ' "') != ""
        columns = {ours: pl.col(f"field_{place}") for ours, place in self.places.items()}
        if "date" in columns:
            day, time = columns.pop("date"), columns.pop("time", pl.lit(""))
            columns["timestamp"] = (day + " " + time).str.strip_chars()
        if "symbol" in columns:
            place = self.places["symbol"]
            column = self.places if self.header is None or options.positions else self.header[place]
            require_own(cells[f"field_{place}"], options, label, column)
        else:
            columns["symbol"] = pl.lit(options.symbol, dtype=pl.String)
        for ours in options.fields:
            columns.setdefault(ours, pl.lit(None, dtype=pl.String))
        made = cells.with_columns(frame["line"]).select(
            *(columns[ours].alias(ours) for ours in ["symbol", *options.fields]),
            misfit=pl.when(extra).then(pl.format("too many fields: '{}'", "line")),
        )
        return made.select(pl.lit(label).alias("source"), frame["row"], pl.all())


def _cells(line: str, delimiter: str) -> list[str]:
    """Return the fields of a line, without empty ones at its end: some writers end lines with a delimiter."""
    cells = [cell.strip().strip('"').strip() for cell in line.split(delimiter)]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _sniffed(lines: Sequence[str]) -> str:
    """Return the delimiter that splits every line into the same number of fields, and the most of them."""
    best, most = ",", 0
    for delimiter in _DELIMITERS:
        counts = [line.count(delimiter) for line in lines]
        common = max(set(counts), key=counts.count)
        if common > most and counts.count(common) >= len(counts) * 0.8:
            best, most = delimiter, common
    return best


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_stamp(cell: str, options: ImportOptions) -> bool:
    """Return whether a text is a time after 1980: a small number is rather a price than seconds since 1970."""
    anywhere = replace(options, tz="UTC")  # an hour that the exchange's clocks skip is a time all the same
    stamp = resolve(pl.Series([cell]), anywhere)["timestamp"][0]
    return stamp is not None and stamp.year >= 1980


def _guessed(cells: Sequence[str], options: ImportOptions, label: str) -> list[str]:
    """Return our columns by position for a file without a header."""
    fields = options.fields
    for body in (fields, [name for name in fields if name not in OPTIONAL]):
        extra = len(cells) - len(body)
        rest = body[1:]
        if extra == 0 and _is_stamp(cells[0], options):
            return body
        if extra == 1 and _is_stamp(f"{cells[0]} {cells[1]}", options):
            return ["date", "time", *rest]
        if extra == 1 and not _is_stamp(cells[0], options) and _is_stamp(cells[1], options):
            return ["symbol", *body]
        if extra == 1 and _is_stamp(cells[0], options) and not _is_number(cells[1]):
            return ["timestamp", "symbol", *rest]
        if extra == 2 and _is_stamp(f"{cells[1]} {cells[2]}", options):
            return ["symbol", "date", "time", *rest]
    raise _misfit(label, cells, fields)


def _misfit(label: str, cells: Sequence[str], fields: Sequence[str]) -> ImportDataError:
    return ImportDataError(
        f"{label}: the file has no header and {len(cells)} columns, first line {','.join(cells)[:80]!r}; "
        f"expected {len(fields)}: {', '.join(fields)}",
        path=label,
        hint=f'say what they are with --columns "{",".join(fields)}" (- for one to ignore); check --delimiter',
    )
