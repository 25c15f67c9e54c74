"""`JsonView`: exports as `SystemManager.to_json` tells them, the small sections reduced to what changed."""

from __future__ import annotations

import threading
from typing import Any

import orjson

from mismartera.engine.export.consumers.filter import EVERYTHING, ExportFilter
from mismartera.engine.export.diff_tracker import DiffTracker
from mismartera.engine.export.document.document import Export

_ROWS = ("count", "columns", "data")
_ALWAYS_HISTORY = ("loaded", "date_range")


class JsonView:
    """One reader of `SystemManager.to_json`: a consumer of its own for rows, and a tracker for all else.

    Parameters
    ----------
    consumer : str
        The consumer whose cursor says which rows are new.
    only : ExportFilter
        What it is told.

    Attributes
    ----------
    lock : threading.Lock
        Held from making an export to `delivered`, so that calls are told one after another.
    """

    def __init__(self, consumer: str, only: ExportFilter = EVERYTHING) -> None:
        self.consumer = consumer
        self.only = only
        self.lock = threading.Lock()
        self._tracker = DiffTracker()
        self._told: dict[str, Any] = {}

    def document(self, export: Export) -> dict[str, Any]:
        """Return an export as plain data: whole if it is complete, else what changed.

        Notes
        -----
        In a difference, rows, columns, ``count`` and gap ranges stand where there are new ones, as in a delta export.
        Of the rest stands what is different from the last call, and ``null`` for what is gone. ``changed_paths``
        names both. Cost: O(symbols x intervals) and what is new.
        """
        text = export.to_bytes()
        told: dict[str, Any] = orjson.loads(text)
        metadata = told.pop("_metadata")
        rows = _take_rows(told["session_data"])
        self._told = told
        if export.complete:
            document: dict[str, Any] = orjson.loads(text)
            return document
        diff, paths = self._tracker.compute_diff(told)
        for path, values in rows:
            _put(diff, path, values)
        metadata["changed_paths"] = sorted({*paths, *metadata["changed_paths"]})
        return {"_metadata": metadata, **diff}

    def delivered(self) -> None:
        """Keep what the last document was made of as what the next is compared with."""
        self._tracker.update_snapshot(self._told)


def _take_rows(session: dict[str, Any]) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """Take rows, gap ranges and history out of ``session_data``; return those that hold any, each with its path."""
    taken: list[tuple[tuple[str, ...], dict[str, Any]]] = []
    for symbol, part in session["symbols"].items():
        place = ("session_data", "symbols", symbol)
        for kind, section in part["session"]["data"].items():
            rows = {name: section.pop(name) for name in _ROWS if name in section}
            if rows["count"]:
                taken.append(((*place, "session", "data", kind), rows))
            ranges = section["gaps"].pop("ranges") if "gaps" in section else []
            if ranges:
                taken.append(((*place, "session", "data", kind, "gaps"), {"ranges": ranges}))
        history = part["historical"]
        past = {name: history.pop(name) for name in list(history) if name not in _ALWAYS_HISTORY}
        if past["data"] or len(past) > 1:
            taken.append(((*place, "historical"), past))
    return taken


def _put(document: dict[str, Any], path: tuple[str, ...], values: dict[str, Any]) -> None:
    for token in path:
        document = document.setdefault(token, {})
    document.update(values)
