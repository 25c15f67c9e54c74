"""`CsvRecords`: delimited text as frames of texts, parsed by pyarrow (RFC 4180), with the line of each record."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from mismartera.schemas.errors import ImportDataError

BLOCK_BYTES = 32 * 2**20
"""Text parsed at once; what a block needs in memory is about ten times as much."""
_SAMPLE_BYTES, _SAMPLE_RECORDS = 65_536, 50
_DELIMITERS = (";", "\t", "|", ",")


class CsvRecords:
    """The records of one text.

    Parameters
    ----------
    label : str
        Names the text in errors.
    stream : binary file
        UTF-8, with a byte order mark or without; what is not is replaced.
    delimiter : str, optional
        By default the one that the first records suggest.

    Attributes
    ----------
    delimiter : str
    first : list of str
        Fields of the first record, without empty ones at its end: some writers end lines with a delimiter.

    Raises
    ------
    ImportDataError
        If the text is empty or UTF-16.
    """

    def __init__(self, label: str, stream: BinaryIO, delimiter: str | None = None) -> None:
        self._label = label
        self._text = _Utf8(label, stream)
        head, is_whole = self._text.peek(_SAMPLE_BYTES)
        lines = [line for line in head.splitlines() if line.strip()]
        if not lines:
            raise ImportDataError(f"{label}: the file is empty", path=label)
        self.delimiter = delimiter or _sniffed(lines[:_SAMPLE_RECORDS])
        sample = [fields for fields in self._parsed(head) if any(map(str.strip, fields))]
        if not sample:
            raise ImportDataError(f"{label}: expected rows of values, got empty ones alone", path=label)
        sample = sample[: _SAMPLE_RECORDS if is_whole else min(_SAMPLE_RECORDS, max(len(sample) - 1, 1))]
        self.first = _trimmed(sample[0])
        self._width = max(Counter(map(len, sample)).items(), key=lambda item: item[::-1])[0]
        self._names = [f"field_{place}" for place in range(max(self._width, len(self.first)))]
        self._ragged: list[tuple[int, str]] = []
        self._next = 1  # number of the next record
        self._shift = 0  # line breaks within values so far: by so much a record's line is further than its number
        self._ends_within_value = False

    @property
    def has_quotes(self) -> bool:
        """Whether any value so far may have been quoted."""
        return self._text.quotes > 0

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the records block by block.

        Yields
        ------
        polars.DataFrame
            ``row: i64``, the line a record starts on, from 1; ``field_0``, ``field_1``, …: str, null where a record
            has fewer; ``misfit: str``, the text of a record that has more fields with a value than the first. Records
            without any value are left out, as empty lines are.
        """
        try:
            for batch in self._batches():
                numbers = self._numbers(batch.num_rows)
                frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch]))).with_columns(number=numbers)
                yield from self._finished(frame)
        except pa.ArrowInvalid as error:
            raise self._unsplit(error) from error
        rest = pl.DataFrame(schema={**dict.fromkeys(self._names[: self._width], pl.String), "number": pl.Int64})
        yield from self._finished(rest, is_last=True)
        if self._ends_within_value and self._text.quotes % 2:
            raise ImportDataError(
                f"{self._label}: a quote is not closed: the last value reaches to the end of the file",
                path=self._label,
                hint="close the quote, or double it where it is part of a value",
            )

    def _batches(self) -> pa_csv.CSVStreamingReader:
        names = self._names[: self._width]
        return pa_csv.open_csv(
            pa.PythonFile(self._text, mode="r"),
            # One thread: with several, records that do not fit come without their number.
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=names),
            parse_options=pa_csv.ParseOptions(
                delimiter=self.delimiter,
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=self._keep,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )

    def _keep(self, record: Any) -> str:
        self._ragged.append((record.number, record.text))
        return "skip"

    def _numbers(self, count: int) -> NDArray[np.int64]:
        """Return the numbers of the next records that fit, which leave out those that do not."""
        ragged = np.array([number for number, _ in self._ragged], np.int64)
        numbers = np.arange(self._next, self._next + count + len(ragged))
        numbers = numbers[~np.isin(numbers, ragged)][:count]
        if count:
            self._next = int(numbers[-1]) + 1
        return numbers

    def _finished(self, frame: pl.DataFrame, *, is_last: bool = False) -> Iterator[pl.DataFrame]:
        """Yield a frame with the records that did not fit, lines for numbers, and without empty records."""
        due = [one for one in self._ragged if is_last or one[0] < self._next]
        self._ragged = self._ragged[len(due) :]
        frame = self._with_all_columns(frame)
        if due:
            rows = [(number, *self._fields(text), text.count("\n")) for number, text in due]
            frame = pl.concat([frame, pl.DataFrame(rows, schema=frame.schema, orient="row")]).sort("number")
        if not len(frame):
            return
        before = pl.col("breaks").cum_sum().shift(1, fill_value=0)
        frame = frame.with_columns(row=pl.col("number") + self._shift + before)
        self._shift += int(frame["breaks"].sum())
        self._ends_within_value = bool(frame["breaks"][-1])
        if frame.select((~_has_value(pl.col(self._names[0]))).any()).item():
            frame = frame.filter(pl.any_horizontal(_has_value(pl.col(name)) for name in [*self._names, "misfit"]))
        if len(frame):
            yield frame.select("row", *self._names, "misfit")

    def _with_all_columns(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return records that fit with the columns they lack, why they do not fit ours, and their line breaks."""
        names = self._names[: self._width]
        misfit, breaks = pl.lit(None, dtype=pl.String), pl.lit(0, dtype=pl.Int64)
        if self._width > len(self.first):
            beyond = pl.any_horizontal(_has_value(pl.col(name)) for name in names[len(self.first) :])
            misfit = pl.when(beyond).then(pl.concat_str(names, separator=self.delimiter))
        if self.has_quotes:
            breaks = pl.sum_horizontal(pl.col(*names).str.count_matches("\n", literal=True)).cast(pl.Int64)
        missing = [pl.lit(None, dtype=pl.String).alias(name) for name in self._names[self._width :]]
        frame = frame.with_columns(*missing, misfit=misfit, breaks=breaks)
        return frame.select("number", *self._names, "misfit", "breaks")

    def _fields(self, text: str) -> list[str | None]:
        """Return the fields of a record that has too few or too many, and its text if too many have a value."""
        try:
            fields: list[str | None] = [*next(self._parsed(text), [])]
        except csv.Error as error:
            raise self._unsplit(error) from error
        is_longer = any(field and field.strip() for field in fields[len(self.first) :])
        fields = (fields + [None] * len(self._names))[: len(self._names)]
        return [*fields, text if is_longer else None]

    def _unsplit(self, error: Exception) -> ImportDataError:
        return ImportDataError(
            f"{self._label}: cannot be split into records after line {self._next + self._shift - 1}: "
            f"{str(error).splitlines()[0]}",
            path=self._label,
            hint="a quote is probably not closed; check the quotes, and --delimiter",
        )

    def _parsed(self, text: str) -> Iterator[list[str]]:
        return csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter)


def _has_value(cell: pl.Expr) -> pl.Expr:
    return cell.fill_null("").str.strip_chars() != ""


def _trimmed(fields: Sequence[str]) -> list[str]:
    cells = [cell.strip().strip('"').strip() for cell in fields]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _sniffed(lines: Sequence[str]) -> str:
    """Return the delimiter that splits every line into the same number of fields, and the most of them."""
    bare = [re.sub(r'"[^"]*"', "", line) for line in lines]
    best, most = ",", 0
    for delimiter in _DELIMITERS:
        counts = [line.count(delimiter) for line in bare]
        common = max(set(counts), key=counts.count)
        if common > most and counts.count(common) >= len(counts) * 0.8:
            best, most = delimiter, common
    return best


class _Utf8:
    """A binary stream for pyarrow, which refuses what is not UTF-8: such bytes become replacement characters.

    Attributes
    ----------
    quotes : int
        Quotes read so far.
    """

    closed = False

    def __init__(self, label: str, stream: BinaryIO) -> None:
        self.quotes = 0
        self._stream = stream
        self._rest = b""
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        start = stream.read(4)
        if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise ImportDataError(f"{label}: the text is UTF-16; expected UTF-8", path=label, hint="save it as UTF-8")
        self._add(start)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing: who opened the stream closes it."""

    def peek(self, size: int) -> tuple[str, bool]:
        """Return the first text without taking it, and whether it is all."""
        while len(self._rest) < size:
            if not self._more(size):
                return self._rest.decode(), True
        return self._rest.decode(errors="ignore"), False

    def read(self, size: int) -> bytes:
        while not self._rest:
            if not self._more(size):
                return b""
        block, self._rest = self._rest[:size], self._rest[size:]
        self.quotes += block.count(b'"')
        return block

    def _more(self, size: int) -> bool:
        raw = self._stream.read(size)
        self._add(raw)
        return bool(raw)

    def _add(self, raw: bytes) -> None:
        if raw.isascii() and raw and not self._decoder.getstate()[0]:
            self._rest += raw
        else:
            self._rest += self._decoder.decode(raw, final=not raw).encode()
