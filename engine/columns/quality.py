"""Quality: the share of expected bars that are there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def quality_percent(missing: NDArray[np.int64], expected: int) -> NDArray[np.float64]:
    """Return quality in percent, rounded down to two decimals, so that 100.0 means nothing is missing.

    Parameters
    ----------
    missing : int64 array, one entry per symbol
        Expected bars that are not there.
    expected : int
        Expected bars.

    Returns
    -------
    float64 array
        NaN throughout while nothing is expected.

    Examples
    --------
    >>> quality_percent(np.array([0, 1, 390]), 390).tolist()
    [100.0, 99.74, 0.0]
    """
    if expected == 0:
        return np.full(len(missing), np.nan)
    return (expected - missing) * 10_000 // expected / 100.0
