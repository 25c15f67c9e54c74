"""`Consumers`: who takes exports, how far each has come, and the export that comes next for each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mismartera.engine.export.document.document import VERSION, Export
from mismartera.engine.export.document.session_section import SessionSection
from mismartera.engine.state.snapshot import Snapshot
from mismartera.engine.time.clock import Stopwatch
from mismartera.schemas.errors import DataError, StateError, UnknownNameError

from .cursor import Cursor, lag_rows
from .filter import EVERYTHING, ExportFilter

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class _Consumer:
    """A consumer's filter, and its last acknowledged export."""

    only: ExportFilter = EVERYTHING
    sequence: int = 0
    last_update: str | None = None
    cursor: Cursor | None = None


@dataclass(frozen=True, slots=True)
class ConsumerInfo:
    """Where a consumer stands.

    Attributes
    ----------
    name : str
    sequence : int
        Exports it received.
    last_update : str or None
        Instant of the last one, in the exchange's zone.
    lag_rows : int
        Session rows of its part that it has not been sent.
    lag_s : float or None
        Seconds of the engine's clock since its last export; None before the first.
    """

    name: str
    sequence: int
    last_update: str | None
    lag_rows: int
    lag_s: float | None


class Consumers:
    """Cursors by consumer name. ``"default"`` is always there; others are registered first.

    Notes
    -----
    Thread-safe. Making an export moves nothing; `acknowledge` moves the consumer's cursor, after delivery. A consumer
    costs its integers: an array of row offsets per data type, shared with the snapshot they came from.
    """

    def __init__(self) -> None:
        self._consumers = {DEFAULT: _Consumer()}
        self._lock = threading.Lock()
        self._deliveries: dict[str, threading.RLock] = {}

    def delivering(self, consumer: str) -> threading.RLock:
        """Return the lock that one delivery to a consumer holds, from its export to its acknowledgement."""
        with self._lock:
            return self._deliveries.setdefault(consumer, threading.RLock())

    def register(self, name: str, only: ExportFilter = EVERYTHING) -> None:
        """Add a consumer that has been sent nothing; one of that name and filter stays as it is.

        Raises
        ------
        DataError
            If `name` is empty or has control characters.
        StateError
            If the name is taken by a consumer with another filter.
        """
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise DataError(f"consumer name {name!r} is none: expected a text that can be read, such as 'desk'")
        with self._lock:
            held = self._consumers.setdefault(name, _Consumer(only))
            if held.only != only:
                raise StateError(
                    f"consumer {name!r} is registered with another filter",
                    hint="choose another name: what a consumer holds cannot be completed under a new filter",
                )

    def reset(self, name: str) -> None:
        """Forget what a consumer was sent: its next export is number 1 and carries everything."""
        with self._lock:
            self._consumers[name] = _Consumer(self._get(name).only)

    def infos(self, snapshot: Snapshot) -> list[ConsumerInfo]:
        """Return where every consumer stands against `snapshot`, by name."""
        with self._lock:
            held = sorted(self._consumers.items())
        return [
            ConsumerInfo(
                name,
                consumer.sequence,
                consumer.last_update,
                lag_rows(snapshot, consumer.cursor, consumer.only),
                None if consumer.cursor is None else (snapshot.now_us - consumer.cursor.now_us) / 1e6,
            )
            for name, consumer in held
        ]

    def export(
        self,
        consumer: str,
        snapshot: Snapshot,
        sections: Callable[[], Mapping[str, Any]],
        *,
        complete: bool,
        debug: bool,
        generated_at: str,
    ) -> Export:
        """Return the next export of a consumer.

        Parameters
        ----------
        consumer : str
        snapshot : Snapshot
        sections : callable
            Returns the sections beside ``session_data``, as plain data.
        complete : bool
            Everything, or what this consumer has not been sent.
        debug : bool
            Told in the metadata.
        generated_at : str

        Raises
        ------
        UnknownNameError
            If no consumer of that name is registered.
        """
        watch = Stopwatch()
        with self._lock:
            state = self._get(consumer)
        session = SessionSection(snapshot, None if complete else state.cursor, complete=complete, only=state.only)
        metadata: dict[str, Any] = {"generated_at": generated_at, "consumer": consumer, "debug": debug}
        metadata |= _metadata(state, snapshot, session, complete=complete)
        return Export(
            consumer,
            state.sequence + 1,
            complete,
            generated_at,
            metadata,
            sections(),
            session,
            state,
            Cursor.of(snapshot),
            watch.elapsed_s,
        )

    def acknowledge(self, export: Export) -> None:
        """Move the consumer's cursor to an export that was delivered.

        Raises
        ------
        StateError
            If it is another system's, or another export of this consumer was acknowledged, or the consumer was reset,
            since this one was made.
        """
        if not isinstance(export, Export):
            raise DataError(f"what is acknowledged is {type(export).__name__}: expected an export, as export() returns")
        with self._lock:
            state = self._get(export.consumer)
            if export.base is not state:
                raise StateError(
                    f"export {export.sequence} of consumer {export.consumer!r} cannot be acknowledged: it is another "
                    "system's, or since it was made another was, or the consumer was reset; its last one is number "
                    f"{state.sequence} by now",
                    hint="one consumer takes one export at a time; give each reader a name of its own",
                )
            self._consumers[export.consumer] = _Consumer(
                state.only, export.sequence, export.generated_at, export.cursor
            )

    def _get(self, name: str) -> _Consumer:
        if not isinstance(name, str) or name not in self._consumers:
            hint = f"register_consumer({name!r}) adds it"
            raise UnknownNameError("consumer", str(name), sorted(self._consumers), hint=hint)
        return self._consumers[name]


def _metadata(state: _Consumer, snapshot: Snapshot, session: SessionSection, *, complete: bool) -> dict[str, Any]:
    return {
        "version": VERSION,
        "mode": "complete" if complete else "delta",
        "delta": not complete,
        "complete": complete,
        "diff_mode": not complete,
        "last_update": None if complete else state.last_update,
        "changed_paths": [] if complete else session.changed_paths(),
        "session_date": None if snapshot.session is None else snapshot.session.date,
        "sequence": state.sequence + 1,
        "base_sequence": None if complete or not state.sequence else state.sequence,
        "reset": session.reset,
    }
