"""`Export`: one document, written piece by piece into whatever takes bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from mismartera.engine.export.consumers.cursor import Cursor
from mismartera.engine.export.writing.timings import Drained, ExportTiming, drain
from mismartera.engine.time.clock import Stopwatch

from .session_section import Piece, SessionSection

VERSION = "2.1"


@dataclass(slots=True, eq=False)
class Export:
    """One export of one consumer. Nothing of it is delivered yet, and the consumer's cursor has not moved.

    Attributes
    ----------
    consumer : str
    sequence : int
        Its number once acknowledged.
    complete : bool
    generated_at : str
        The snapshot's instant, in the exchange's zone.
    metadata : mapping
        The ``_metadata`` section.
    sections : mapping
        The sections beside ``_metadata`` and ``session_data``, as plain data.
    session : SessionSection
    base : object
        What its consumer held when it was made; the export can be acknowledged while it holds the same.
    cursor : Cursor
        Where the consumer stands once this is acknowledged.
    snapshot_s : float
        Seconds it took to plan.
    drained : Drained
        What its text cost, the last time it was drawn.
    """

    consumer: str
    sequence: int
    complete: bool
    generated_at: str
    metadata: Mapping[str, Any]
    sections: Mapping[str, Any]
    session: SessionSection
    base: object
    cursor: Cursor
    snapshot_s: float
    drained: Drained = field(default_factory=Drained)

    @property
    def rows(self) -> int:
        """Rows of bars, ticks and quotes it carries."""
        return self.session.rows

    def pieces(self) -> Iterator[Piece]:
        """Yield the document's JSON text in pieces; may be drawn any number of times.

        The seconds kept in `drained` are those until the last piece was drawn, with what was done in between.
        """
        watch, size = Stopwatch(), 0
        for piece in self._text():
            size += len(piece)
            yield piece
        self.drained = Drained(size, watch.elapsed_s)

    def write_to(self, write: Callable[[list[Piece]], object]) -> Drained:
        """Hand the document to a sink, about a mebibyte at a time.

        Parameters
        ----------
        write : callable
            Takes a list of bytes-like pieces, such as ``file.writelines``; for a socket,
            ``lambda pieces: socket.sendall(b"".join(pieces))``.
        """
        self.drained = drain(self._text(), write)
        return self.drained

    def to_bytes(self) -> bytes:
        """Return the whole document."""
        pieces: list[Piece] = []
        self.write_to(pieces.extend)
        return b"".join(pieces)

    def to_json(self) -> dict[str, Any]:
        """Return the document as plain data."""
        document: dict[str, Any] = orjson.loads(self.to_bytes())
        return document

    def _text(self) -> Iterator[Piece]:
        yield b'{"_metadata":%b' % orjson.dumps(self.metadata)
        for name, section in self.sections.items():
            yield b',\n"%b":%b' % (name.encode(), orjson.dumps(section))
        yield b',\n"session_data":'
        yield from self.session.pieces()
        yield b"}\n"

    def timing(self, form: str, drained: Drained, sync_s: float = 0.0) -> ExportTiming:
        """Return what delivering it cost."""
        return ExportTiming(
            consumer=self.consumer,
            sequence=self.sequence,
            mode="complete" if self.complete else "delta",
            format=form,
            generated_at=self.generated_at,
            rows=self.rows,
            bytes=drained.bytes,
            snapshot_s=self.snapshot_s,
            encode_s=drained.encode_s,
            write_s=drained.write_s,
            sync_s=sync_s,
        )
