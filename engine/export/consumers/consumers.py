"""`Consumers`: who takes exports, how far each has come, and the export that comes next for each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mismartera.engine.export.document.document import VERSION, Export
from mismartera.engine.export.document.session_section import SessionSection
from mismartera.engine.export.writing.timings import ExportTiming
from mismartera.engine.state.snapshot import Snapshot
from mismartera.engine.time.clock import Stopwatch
from mismartera.schemas.errors import DataError, StateError, UnknownNameError

from .cursor import Cursor, lag_rows
from .filter import EVERYTHING, ExportFilter
from .saved import SavedConsumer

DEFAULT = "default"
_MOST_PENDING = 16


@dataclass(frozen=True, slots=True)
class _Consumer:
    """A consumer's filter, and its last acknowledged export."""

    only: ExportFilter = EVERYTHING
    sequence: int = 0
    last_update: str | None = None
    cursor: Cursor | None = None


@dataclass(frozen=True, slots=True)
class _Pending:
    """The exports made since the last acknowledged one; all have the same number.

    The cursor is that of the first, so that no row is left out whichever was received; all else is the latest's.
    """

    cursor: Cursor
    generated_at: str
    timing: ExportTiming


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

    Parameters
    ----------
    run_id : str
        The run whose exports they receive.

    Notes
    -----
    Thread-safe. Making an export moves nothing; `acknowledge` and `acknowledge_sequence` move the consumer's cursor,
    after delivery. A consumer costs its integers, and those of the last 16 exports that are not acknowledged yet: an
    array of row offsets per data type, shared with the snapshot they came from.
    """

    def __init__(self, run_id: str = "") -> None:
        self._run_id = run_id
        self._consumers = {DEFAULT: _Consumer()}
        self._pending: dict[str, dict[str, _Pending]] = {}
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
            self._move(name, _Consumer(self._get(name).only))

    def save(self, name: str, snapshot: Snapshot) -> dict[str, Any]:
        """Return what a consumer holds as plain data that JSON can carry; `load` takes it, in another process too."""
        with self._lock:
            state = self._get(name)
        saved = SavedConsumer(
            self._run_id, name, state.only, state.sequence, state.last_update, snapshot.symbols, state.cursor
        )
        return saved.to_json()

    def load(self, saved: Mapping[str, Any], snapshot: Snapshot) -> None:
        """Have a saved consumer go on where it was: its next delta carries what is new since its last export.

        Raises
        ------
        DataError
            If `saved` is not what `save` returns.
        StateError
            If it is of another run or other symbols, the run has not reached what the consumer holds, or a consumer of
            that name has another filter or has received exports of this process.
        """
        held = SavedConsumer.from_json(saved)
        held.require_fit(self._run_id, snapshot)
        self.register(held.consumer, held.only)
        with self._lock:
            present = self._get(held.consumer)
            if present.sequence:
                raise StateError(
                    f"consumer {held.consumer!r} cannot be loaded: expected one that has received nothing yet, got "
                    f"one that has received {present.sequence} exports",
                    hint=f"reset_export({held.consumer!r}) forgets what it was sent",
                )
            self._move(held.consumer, _Consumer(held.only, held.sequence, held.last_update, held.cursor))

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
        export = Export(
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
        self.keep_pending(export, export.timing("python", export.drained))
        return export

    def keep_pending(self, export: Export, timing: ExportTiming) -> None:
        """Have an export wait for `acknowledge_sequence`, which returns `timing`; nothing where it came too late."""
        with self._lock:
            if self._consumers.get(export.consumer) is export.base:
                pending = self._pending.setdefault(export.consumer, {})
                first = pending.get(export.generated_at)
                cursor = export.cursor if first is None else first.cursor  # of one instant: none is left out
                pending[export.generated_at] = _Pending(cursor, export.generated_at, timing)
                while len(pending) > _MOST_PENDING:
                    del pending[next(iter(pending))]

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
            self._move(export.consumer, _Consumer(state.only, export.sequence, export.generated_at, export.cursor))

    def acknowledge_sequence(
        self, consumer: str, run_id: str, sequence: int, generated_at: str | None = None
    ) -> ExportTiming:
        """Move a consumer's cursor to an export that was delivered, known by its number alone; return what it cost.

        Parameters
        ----------
        consumer : str
        run_id : str
            ``performance_metrics.run_id`` of the export.
        sequence : int
            ``_metadata.sequence`` of the export.
        generated_at : str, optional
            ``_metadata.generated_at`` of the export. A failed or repeated delivery leaves several exports of one
            number; it says which of them was received.

        Raises
        ------
        StateError
            If it is an export of another run, or not the one that the consumer is to receive next, or none was made; or
            if exports of several instants have that number, and `generated_at` names none of them.
        """
        with self._lock:
            state, pending = self._get(consumer), self._pending.get(consumer, {})
            due = state.sequence + 1
            if run_id == self._run_id and sequence == due and not isinstance(sequence, bool):
                instant = next(iter(pending)) if generated_at is None and len(pending) == 1 else generated_at
                received = pending.get(instant) if instant is not None else None
                if received is not None:
                    self._move(consumer, _Consumer(state.only, due, received.generated_at, received.cursor))
                    return received.timing
        expected, got = f"number {due}", f"number {sequence!r}"
        if pending and sequence == due:
            expected, got = f"generated_at to be {' or '.join(pending)}", repr(generated_at)
        if run_id != self._run_id:
            expected, got = f"an export of run {self._run_id!r}", f"one of run {run_id!r}"
        elif not pending:
            expected = f"a new export to be made first, since the last acknowledged one is number {state.sequence}"
        raise StateError(
            f"export {sequence!r} of consumer {consumer!r} cannot be acknowledged: expected {expected}, got {got}",
            hint="if it is unknown what the consumer holds, send it a complete export",
        )

    def _move(self, name: str, state: _Consumer) -> None:
        """Put a consumer where it stands now; no export made before can be acknowledged by number any more."""
        self._consumers[name] = state
        self._pending.pop(name, None)

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
