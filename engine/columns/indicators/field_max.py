"""Highest value of a column over all bars."""

from __future__ import annotations

import numpy as np

from .past import Floats, Past, extreme


def compute(past: Past) -> Floats:
    """Return the maximum per symbol, shape (n_symbols,); NaN where a symbol has no bar."""
    return extreme(past, np.fmax, np.maximum)
