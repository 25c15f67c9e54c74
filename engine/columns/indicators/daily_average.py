"""Mean over sessions of each one's value: first open, highest high, lowest low, last close, sum of the volume."""

from __future__ import annotations

from typing import Any

import numpy as np

from mismartera.engine.log.segment import Segment

from .past import Floats, Past, mean, reduced, with_bars

_REDUCED = {"high": np.maximum, "low": np.minimum, "volume": np.add}


def compute(past: Past) -> Floats:
    """Return the mean per symbol, shape (n_symbols,).

    Sessions in which a symbol has no bar do not count; NaN where it has none at all.
    """
    total, counted = np.zeros(past.n_symbols), np.zeros(past.n_symbols)
    for day in past.days:
        some, values = _of_session(day, past.field)
        total[some] += values
        counted[some] += 1
    return mean(total, counted)


def _of_session(day: Segment, field: str) -> tuple[Any, Any]:
    if field in _REDUCED:
        return reduced(_REDUCED[field], day, field)
    some, first = with_bars(day)
    return some, day.column(field)[first if field == "open" else first + day.count[some] - 1]
