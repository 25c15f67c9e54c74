"""`DiffTracker`: what changed in a small piece of plain data since it was last told."""

from __future__ import annotations

import copy
from typing import Any


class DiffTracker:
    """Remembers a JSON object and reduces the next one to what is different.

    For the small sections of an export. Rows are no part of it: they are append-only, and a cursor finds the new ones
    without comparing any.

    Notes
    -----
    A difference is a JSON Merge Patch (RFC 7396): applied to the last object it gives the current one, where a member
    that is null and one that is absent mean the same. Objects are compared member by member, all else whole. Comparing
    costs O(size of the object), and one copy of it is kept. Not thread-safe.

    Examples
    --------
    >>> tracker = DiffTracker()
    >>> tracker.update_snapshot({"clock": {"date": "2025-07-02", "time": "11:21"}, "symbols": ["RIVN"], "gap": 3})
    >>> tracker.compute_diff({"clock": {"date": "2025-07-02", "time": "11:22"}, "symbols": ["RIVN"]})
    ({'clock': {'time': '11:22'}, 'gap': None}, ['/clock/time', '/gap'])
    """

    def __init__(self) -> None:
        self._last: dict[str, Any] = {}

    def compute_diff(self, current: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Compare an object with the last one.

        Parameters
        ----------
        current : dict
            Plain JSON data: dicts with text keys, lists, texts, numbers, bools, None.

        Returns
        -------
        diff : dict
            Members that changed or are new, and None for those that are gone; a copy, free to be changed. Everything
            where no object was kept.
        paths : list of str
            JSON Pointers (RFC 6901) to them, sorted. A new or replaced value has one, whatever it holds.
        """
        paths: list[str] = []
        diff = _difference(self._last, current, "", paths)
        return diff, sorted(paths)

    def update_snapshot(self, data: dict[str, Any]) -> None:
        """Keep a copy of an object as the last one."""
        self._last = copy.deepcopy(data)

    def reset_snapshot(self) -> None:
        """Forget the last object: the next difference is everything."""
        self._last = {}


def pointer_token(key: str) -> str:
    """Return a key as one token of a JSON Pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def _difference(last: dict[str, Any], current: dict[str, Any], at: str, paths: list[str]) -> dict[str, Any]:
    diff: dict[str, Any] = {}
    for key, value in current.items():
        path = f"{at}/{pointer_token(key)}"
        held = last.get(key)
        if isinstance(value, dict) and isinstance(held, dict):
            inner = _difference(held, value, path, paths)
            if inner:
                diff[key] = inner
        elif key not in last or not _same(held, value):
            diff[key] = copy.deepcopy(value)
            paths.append(path)
    for key in last.keys() - current.keys():
        diff[key] = None
        paths.append(f"{at}/{pointer_token(key)}")
    return diff


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are the same JSON; to Python, True is 1 and 1 is 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    return bool(one == other)
