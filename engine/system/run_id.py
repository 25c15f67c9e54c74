"""Run ids: what distinguishes the exports of one run from those of another."""

from __future__ import annotations

import uuid

from mismartera.schemas.errors import DataError

_LONGEST = 64


def new_run_id() -> str:
    """Return an id that no other run has: 12 hexadecimal digits."""
    return uuid.uuid4().hex[:12]


def checked_run_id(run_id: str) -> str:
    """Return `run_id` if it can be one: printable, without spaces, 1 to 64 characters; raises `DataError`."""
    valid = isinstance(run_id, str) and 0 < len(run_id) <= _LONGEST and run_id.isprintable() and " " not in run_id
    if not valid:
        raise DataError(
            f"invalid run id: expected 1 to {_LONGEST} printable characters without spaces, got {run_id!r}",
            hint="take up a run with the run_id of its exports (performance_metrics.run_id), or leave run_id out",
        )
    return run_id
