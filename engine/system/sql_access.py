"""`SqlAccess`: how the engine answers SQL without importing whoever runs it.

The backend names itself in the entry point group ``mismartera.sql`` and is loaded on the first query.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol

import pyarrow as pa

from mismartera.engine.state.snapshot import Snapshot
from mismartera.schemas.errors import StateError

ENTRY_POINTS = "mismartera.sql"


def _nothing() -> dict[str, Any]:
    return {}


def _no_rows() -> list[Mapping[str, Any]]:
    return []


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """What a query may ask beside the snapshot; each is called when a query needs it.

    Attributes
    ----------
    config : callable
        Returns the validated configuration as plain data.
    threads : callable
        Returns each thread's section of an export, by name.
    exports : callable
        Returns the timing log of delivered exports: one mapping each, by the columns of the table ``exports``.
    """

    config: Callable[[], Mapping[str, Any]] = _nothing
    threads: Callable[[], Mapping[str, Any]] = _nothing
    exports: Callable[[], Sequence[Mapping[str, Any]]] = _no_rows


class SqlBackend(Protocol):
    """Answers queries over snapshots; made with `SystemFacts`."""

    def query(self, text: str, snapshot: Snapshot) -> pa.Table:
        """Return the answer of one query over one snapshot."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class SqlAccess:
    """Finds the backend on the first query and passes queries on. Safe to use from several threads.

    Parameters
    ----------
    facts : SystemFacts
    """

    def __init__(self, facts: SystemFacts) -> None:
        self._facts = facts
        self._backend: SqlBackend | None = None
        self._lock = threading.Lock()

    def query(self, text: str, snapshot: Snapshot) -> pa.Table:
        """Return the answer of a query over `snapshot`; raises `StateError` if no backend is installed."""
        with self._lock:
            if self._backend is None:
                self._backend = _load(self._facts)
            backend = self._backend
        return backend.query(text, snapshot)

    def close(self) -> None:
        """Let the backend go; the next query loads it again."""
        with self._lock:
            backend, self._backend = self._backend, None
        if backend is not None:
            backend.close()


def _load(facts: SystemFacts) -> SqlBackend:
    found = sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name)
    if not found:
        raise StateError(
            f"nothing answers SQL: no installed package has an entry point in the group {ENTRY_POINTS!r}",
            hint="install mismartera again (pip install -e .)",
        )
    backend: SqlBackend = found[0].load()(facts)
    return backend
