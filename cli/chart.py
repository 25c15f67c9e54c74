"""A bar chart of one column in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

_EIGHTHS = " ▏▎▍▌▋▊▉"
_WIDTH = 50
_MOST_BARS = 60


def bar_chart(labels: Sequence[str], values: Sequence[float | None], title: str) -> list[str]:
    """Return the lines of a chart with one horizontal bar per value.

    Parameters
    ----------
    labels : sequence of str
        What stands before each bar.
    values : sequence of float or None
        None, NaN and infinity draw no bar. Bars start at zero, or at the lowest value where some are negative.
    title : str

    Returns
    -------
    list of str
        At most 61 lines: of more values the first are drawn, and a line says how many are left.

    Examples
    --------
    >>> print("\\n".join(bar_chart(["a", "bb"], [1.0, 2.0], "volume")))
    volume
    a  █████████████████████████ 1
    bb ██████████████████████████████████████████████████ 2
    """
    shown = [value for value in values[:_MOST_BARS] if value is not None and math.isfinite(value)]
    low, high = min(0.0, *shown, 0.0), max(0.0, *shown, 0.0)
    widest = max((len(label) for label in labels[:_MOST_BARS]), default=0)
    lines = [title]
    for label, value in zip(labels[:_MOST_BARS], values, strict=False):
        drawn = value is not None and math.isfinite(value) and high > low
        bar = _bar(_share(cast(float, value), low, high)) if drawn else ""
        lines.append(f"{label:<{widest}} {bar}{' ' if bar else ''}{'–' if value is None else _number(value)}")
    if len(values) > _MOST_BARS:
        lines.append(f"… {len(values) - _MOST_BARS:,} more")
    return lines


def _number(value: float) -> str:
    """Return a value as people read it: whole up to 10**15, else with six digits that count."""
    whole = math.isfinite(value) and value == int(value) and abs(value) < 1e15
    return f"{value:,.0f}" if whole else f"{value:,.6g}"


def _share(value: float, low: float, high: float) -> float:
    """Return how far a value is from `low` to `high`, of which the difference alone may be beyond any float."""
    scale = max(-low, high)
    return (value / scale - low / scale) / (high / scale - low / scale)


def _bar(share: float) -> str:
    eighths = round(share * _WIDTH * 8)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")
