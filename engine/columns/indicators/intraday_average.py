"""Mean over sessions of each minute's bar."""

from __future__ import annotations

import numpy as np

from .past import Floats, Past, mean


def compute(past: Past) -> Floats:
    """Return the mean per symbol and minute, shape (n_symbols, n_minutes); NaN where no session has a bar.

    Minutes are counted over trading segments, so a lunch break has none; those that an early close cuts off count only
    on the days that have them.
    """
    shape = past.n_symbols, past.n_minutes
    total, counted = np.zeros(shape), np.zeros(shape)
    for day, grid in past.minutes():
        minute = grid.locate(day.column("timestamp")) - grid.first_expected
        keep = (minute >= 0) & (minute < min(past.n_minutes, grid.n_expected))
        at = day.codes()[keep], minute[keep]
        np.add.at(total, at, day.column(past.field)[keep])
        np.add.at(counted, at, 1.0)
    return mean(total, counted)
