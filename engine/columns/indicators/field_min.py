"""Lowest value of a column over all bars."""

from __future__ import annotations

import numpy as np

from .past import Floats, Past, extreme


def compute(past: Past) -> Floats:
    """Return the minimum per symbol, shape (n_symbols,); NaN where a symbol has no bar."""
    return extreme(past, np.fmin, np.minimum)
