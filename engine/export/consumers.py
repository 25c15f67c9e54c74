"""`Consumers`: who takes exports, how far each has come, and the export that comes next for each."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from mismartera.engine.state.snapshot import Snapshot
from mismartera.schemas.errors import StateError

from .cursor import Cursor
from .session_section import Piece, SessionSection

VERSION = "2.0"


@dataclass(slots=True)
class _Consumer:
    """A consumer's place: its last acknowledged export."""

    sequence: int = 0
    last_update: str | None = None
    cursor: Cursor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Export:
    """One export of one consumer, not delivered yet.

    Attributes
    ----------
    consumer : str
    sequence : int
        Its number once acknowledged.
    complete : bool
    generated_at : str
        The snapshot's instant, in the exchange's zone.
    """

    consumer: str
    sequence: int
    complete: bool
    generated_at: str
    metadata: Mapping[str, Any]
    sections: Mapping[str, Any]
    session: SessionSection
    cursor: Cursor

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

    def to_json(self) -> dict[str, Any]:
        """Return the document as plain data."""
        document: dict[str, Any] = orjson.loads(b"".join(self.pieces()))
        return document


class Consumers:
    """Cursors by consumer name.

    Notes
    -----
    Thread-safe. Making an export moves nothing; `acknowledge` moves the consumer's cursor, after delivery.
    """

    def __init__(self) -> None:
        self._consumers: dict[str, _Consumer] = {}
        self._lock = threading.Lock()

    def export(
        self,
        consumer: str,
        snapshot: Snapshot,
        sections: Mapping[str, Any],
        *,
        complete: bool,
        debug: bool,
        generated_at: str,
    ) -> Export:
        """Return the next export of a consumer.

        Parameters
        ----------
        consumer : str
            A name; a new one starts with nothing.
        snapshot : Snapshot
        sections : mapping
            The sections beside ``session_data``, as plain data.
        complete : bool
            Everything, or what this consumer has not been sent.
        debug : bool
            Told in the metadata.
        generated_at : str
        """
        with self._lock:
            state = self._consumers.setdefault(consumer, _Consumer())
            sequence, base, last, cursor = state.sequence + 1, state.sequence, state.last_update, state.cursor
        session = SessionSection(snapshot, since=None if complete else cursor, complete=complete)
        metadata = {
            "generated_at": generated_at,
            "version": VERSION,
            "mode": "complete" if complete else "delta",
            "delta": not complete,
            "complete": complete,
            "diff_mode": not complete,
            "debug": debug,
            "last_update": None if complete else last,
            "changed_paths": [] if complete else session.changed_paths(),
            "session_date": None if snapshot.session is None else snapshot.session.date,
            "consumer": consumer,
            "sequence": sequence,
            "base_sequence": None if complete or not base else base,
            "reset": session.reset,
        }
        return Export(consumer, sequence, complete, generated_at, metadata, sections, session, Cursor.of(snapshot))

    def acknowledge(self, export: Export) -> None:
        """Move the consumer's cursor to an export that was delivered.

        Raises
        ------
        StateError
            If another export of this consumer was acknowledged since this one was made.
        """
        with self._lock:
            state = self._consumers[export.consumer]
            if export.sequence != state.sequence + 1:
                raise StateError(
                    f"export {export.sequence} of consumer {export.consumer!r} cannot be acknowledged: "
                    f"number {state.sequence} was acknowledged meanwhile",
                    hint="one consumer takes one export at a time; give each reader a name of its own",
                )
            state.sequence, state.last_update, state.cursor = export.sequence, export.generated_at, export.cursor
