"""Revisions: which rows of a batch are new, which repeat what is held, which correct it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.log.segment import Segment

_VALUES = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True, eq=False)
class Classified:
    """What becomes of each row of a batch.

    Attributes
    ----------
    keep : bool array
        False for a row that repeats what is held.
    revision : int32 array
        0 for a new row, else one more than the revision it corrects.
    """

    keep: NDArray[np.bool_]
    revision: NDArray[np.int32]


def classify(
    held: Segment | None, columns: dict[str, NDArray[Any]], codes: NDArray[np.int64], besides: tuple[str, ...] = ()
) -> Classified:
    """Compare a batch with what is held, and its rows with one another in order of arrival.

    Parameters
    ----------
    held : Segment or None
        Current rows: one per symbol and timestamp.
    columns : dict
        ``timestamp`` and values of the batch, one entry per row.
    codes : int64 array
        Symbol code of each row of the batch.
    besides : tuple of str
        Columns that tell two rows apart besides prices and volume.

    Notes
    -----
    O((held + batch) log): one sort; no row is visited in Python.
    """
    fresh = len(codes)
    before = 0 if held is None else held.rows
    joined = {
        name: columns[name] if held is None else np.concatenate([held.column(name), columns[name]])
        for name in ("timestamp", *_VALUES, *besides)
    }
    all_codes = codes if held is None else np.concatenate([held.codes(), codes])
    order = np.lexsort((np.arange(before + fresh), joined["timestamp"], all_codes))
    same_key = np.zeros(len(order), dtype=bool)
    stamps, sorted_codes = joined["timestamp"][order], all_codes[order]
    same_key[1:] = (stamps[1:] == stamps[:-1]) & (sorted_codes[1:] == sorted_codes[:-1])
    same_values = np.ones(len(order), dtype=bool)
    for name in (*_VALUES, *besides):
        values = joined[name][order]
        same_values[1:] &= values[1:] == values[:-1]
    keep = (order >= before) & ~(same_key & same_values)
    first = np.maximum.accumulate(np.where(same_key, 0, np.arange(len(order))))
    base = np.full(len(order), -1)
    if held is not None:
        of_held = np.concatenate([held.column("revision").astype(np.int64), np.full(fresh, -1)])
        base = of_held[order]
    kept = np.cumsum(keep)
    revision = base[first] + kept - kept[first] + keep[first]
    result = Classified(np.zeros(fresh, dtype=bool), np.zeros(fresh, dtype=np.int32))
    mine = order >= before
    result.keep[order[mine] - before] = keep[mine]
    result.revision[order[mine] - before] = revision[mine]
    return result


def all_new(rows: int) -> Classified:
    """Return the answer for a batch in which every row comes after what its symbol has."""
    return Classified(np.ones(rows, dtype=bool), np.zeros(rows, dtype=np.int32))
