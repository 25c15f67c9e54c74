"""`Export`: one document, written piece by piece into whatever takes bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from .cursor import Cursor
from .session_section import Piece, SessionSection
from .timings import Drained, ExportTiming, drain

VERSION = "2.0"


@dataclass(frozen=True, slots=True, eq=False)
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
    base, cursor : Cursor
        Where the consumer stood when it was made, None before its first; where it stands once this is acknowledged.
    snapshot_s : float
        Seconds it took to plan.
    """

    consumer: str
    sequence: int
    complete: bool
    generated_at: str
    metadata: Mapping[str, Any]
    sections: Mapping[str, Any]
    session: SessionSection
    base: Cursor | None
    cursor: Cursor
    snapshot_s: float

    @property
    def rows(self) -> int:
        """Rows of bars, ticks and quotes it carries."""
        return self.session.rows

    def pieces(self) -> Iterator[Piece]:
        """Yield the document's JSON text in pieces; may be drawn any number of times."""
        yield b'{"_metadata":%b' % orjson.dumps(self.metadata)
        for name, section in self.sections.items():
            yield b',\n"%b":%b' % (name.encode(), orjson.dumps(section))
        yield b',\n"session_data":'
        yield from self.session.pieces()
        yield b"}\n"

    def write_to(self, write: Callable[[list[Piece]], object]) -> Drained:
        """Hand the document to a sink, about a mebibyte at a time.

        Parameters
        ----------
        write : callable
            Takes a list of bytes-like pieces, such as ``file.writelines``; for a socket,
            ``lambda pieces: socket.sendall(b"".join(pieces))``.
        """
        return drain(self.pieces(), write)

    def to_bytes(self) -> bytes:
        """Return the whole document."""
        return b"".join(self.pieces())

    def to_json(self) -> dict[str, Any]:
        """Return the document as plain data."""
        document: dict[str, Any] = orjson.loads(self.to_bytes())
        return document

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
