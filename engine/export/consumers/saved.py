"""Saved consumers: what one holds as plain data, and the check that it fits the run that takes it up again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mismartera.engine.state.snapshot import Snapshot
from mismartera.engine.time.clock import utc_datetime
from mismartera.schemas.errors import DataError, StateError

from .cursor import Cursor, Ints
from .filter import PARTS, ExportFilter

FIELDS = ("run_id", "consumer", "filter", "sequence", "last_update", "symbols", "cursor")
_FILTERED = ("symbols", "intervals", "parts")


@dataclass(frozen=True, slots=True)
class SavedConsumer:
    """What a consumer holds, apart from the process that served it.

    Attributes
    ----------
    run_id, consumer : str
    only : ExportFilter
    sequence : int
        Exports it received.
    last_update : str or None
        Instant of the last one.
    symbols : tuple of str
        The registered symbols, in the order of their codes: the cursor's arrays are by code.
    cursor : Cursor or None
        None before its first export.
    """

    run_id: str
    consumer: str
    only: ExportFilter
    sequence: int
    last_update: str | None
    symbols: tuple[str, ...]
    cursor: Cursor | None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data; see `from_json`."""
        chosen = {name: getattr(self.only, name) for name in _FILTERED}
        return {
            "run_id": self.run_id,
            "consumer": self.consumer,
            "filter": {name: None if values is None else sorted(values) for name, values in chosen.items()},
            "sequence": self.sequence,
            "last_update": self.last_update,
            "symbols": list(self.symbols),
            "cursor": None if self.cursor is None else self.cursor.to_json(),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> SavedConsumer:
        """Return the consumer that `to_json` wrote down; raises `DataError` if it is not one."""
        if not isinstance(saved, Mapping) or not saved.keys() >= set(FIELDS):
            missing = set(FIELDS) - saved.keys() if isinstance(saved, Mapping) else set(FIELDS)
            raise _invalid(f"the fields {', '.join(FIELDS)}", f"one without {', '.join(sorted(missing))}")
        run_id, name, sequence, last = (saved[field] for field in ("run_id", "consumer", "sequence", "last_update"))
        if not isinstance(run_id, str) or not isinstance(name, str):
            raise _invalid("text in run_id and consumer", f"{run_id!r} and {name!r}")
        if isinstance(sequence, bool) or not isinstance(sequence, int) or sequence < 0:
            raise _invalid("a sequence of 0 or more", repr(sequence))
        if (saved["cursor"] is None) != (sequence == 0) or not isinstance(last, str if sequence else type(None)):
            raise _invalid("a cursor and last_update from the first export on", f"sequence {sequence}, {last!r}")
        chosen = saved["filter"]
        if not isinstance(chosen, Mapping) or set(chosen) != set(_FILTERED):
            raise _invalid(f"a filter with {', '.join(_FILTERED)}", repr(chosen))
        values = [None if chosen[key] is None else frozenset(_texts(key, chosen[key])) for key in _FILTERED]
        if frozenset() in values or not (values[2] or set()) <= set(PARTS):
            raise _invalid(f"no empty list in the filter, and parts among {', '.join(PARTS)}", repr(dict(chosen)))
        symbols = _texts("symbols", saved["symbols"])
        cursor = None if saved["cursor"] is None else Cursor.from_json(saved["cursor"])
        if cursor is not None and any(
            len(offsets) != len(symbols) for held in (cursor.rows, cursor.gaps) for offsets in held.values()
        ):
            raise _invalid(f"an offset for each of {len(symbols)} symbols", "others")
        return cls(run_id, name, ExportFilter(*values), sequence, last, symbols, cursor)

    def require_fit(self, run_id: str, snapshot: Snapshot) -> None:
        """Raise `StateError` unless `snapshot` is of the same run and has reached what the consumer holds."""
        expected = got = ""
        registered = snapshot.symbols[: len(self.symbols)]
        if run_id != self.run_id:
            expected, got = f"a consumer of run {run_id!r}", f"one of run {self.run_id!r}"
        elif registered != self.symbols:
            expected, got = f"the symbols {_listed(registered)}", _listed(self.symbols)
        elif self.cursor is not None:
            expected, got = _not_reached(self.cursor, snapshot)
        if expected:
            raise StateError(
                f"consumer {self.consumer!r} cannot be loaded: expected {expected}, got {got}",
                hint="take up the same run: its run_id, configuration and rows, up to the consumer's last export or "
                "later; or register the consumer anew, and it is sent everything",
            )


def _not_reached(held: Cursor, snapshot: Snapshot) -> tuple[str, str]:
    """Return where the run would have to be at least, and where it is; empty texts if it is there."""
    reached = Cursor.of(snapshot)
    if held.now_us > reached.now_us:
        wanted, there = (utc_datetime(us).astimezone(snapshot.timezone) for us in (held.now_us, reached.now_us))
        return f"a run that has reached {wanted.isoformat()}", f"one at {there.isoformat()}"
    if (held.epoch, held.history) > (reached.epoch, reached.history):
        return f"a run in session {held.epoch} of history {held.history}", f"{reached.epoch} of {reached.history}"
    if held.epoch < reached.epoch:
        return "", ""
    for what, wanted_rows, rows in (("rows", held.rows, reached.rows), ("gap rows", held.gaps, reached.gaps)):
        for kind, offsets in wanted_rows.items():
            if not _covers(rows.get(kind), offsets):
                there_rows = 0 if kind not in rows else int(rows[kind].sum())
                return f"at least the {int(offsets.sum())} {kind} {what} that it was sent", f"other ones ({there_rows})"
    return "", ""


def _covers(there: Ints | None, offsets: Ints) -> bool:
    if there is None or len(there) < len(offsets):
        return not offsets.any()
    return bool((there[: len(offsets)] >= offsets).all())


def _texts(field: str, values: Sequence[Any]) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence) or not all(isinstance(v, str) for v in values):
        raise _invalid(f"a list of text in {field}", repr(values))
    return tuple(values)


def _listed(symbols: Sequence[str]) -> str:
    shown = ", ".join(symbols[:5])
    return f"{shown}, … ({len(symbols)})" if len(symbols) > 5 else shown or "none"


def _invalid(expected: str, got: str) -> DataError:
    return DataError(
        f"not a saved consumer: expected {expected}, got {got}", hint="load_consumer takes what save_consumer returned"
    )
