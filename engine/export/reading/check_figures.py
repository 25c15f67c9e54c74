"""`wrong_figures`: what an export tells in a way the contract lets pass, and nothing that reads it back could use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_PRICES = ("high", "low", "vwap")


def wrong_figures(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each figure of a kind it cannot be, with what was expected and what it is.

    Parameters
    ----------
    document : mapping
        An export in which `check_export` found nothing.

    Notes
    -----
    Cost: O(symbols, gap ranges).
    """
    sequence = document["_metadata"]["sequence"]
    if not _is_count(sequence):
        yield f"_metadata.sequence: expected 1, 2, 3 …, and it is {_shown(sequence)}"
    for symbol, parts in document["session_data"]["symbols"].items():
        session = parts["session"]
        if not (session["volume"] is None or (_is_number(session["volume"]) and session["volume"] >= 0)):
            yield f"{symbol}.session.volume: expected 0 or more, or null, and it is {_shown(session['volume'])}"
        for name in _PRICES:
            if not (session[name] is None or _is_number(session[name])):
                yield f"{symbol}.session.{name}: expected a number or null, and it is {_shown(session[name])}"
        for scope in ("session", "historical"):
            for kind, section in parts.get(scope, {}).get("data", {}).items():
                yield from (f"{symbol}.{scope}.{kind}.{text}" for text in _section(section))


def _section(section: Mapping[str, Any]) -> Iterator[str]:
    quality, total = section.get("quality"), section.get("total_count", 0)
    if not (quality is None or _is_number(quality)):
        yield f"quality: expected percent or null, and it is {_shown(quality)}"
    if not _is_count(total):
        yield f"total_count: expected a number of rows, and it is {_shown(total)}"
    if "gaps" in section:
        yield from _gaps(section["gaps"])


def _gaps(gaps: Any) -> Iterator[str]:
    if not isinstance(gaps, dict):
        yield f"gaps: expected an object, and it is {_shown(gaps)}"
        return
    for name in ("gap_count", "missing_bars"):
        if not _is_count(gaps.get(name)):
            yield f"gaps.{name}: expected 0 or more, and it is {_shown(gaps[name]) if name in gaps else 'missing'}"
    ranges = gaps.get("ranges", [])
    if not isinstance(ranges, list):
        yield f"gaps.ranges: expected a list, and it is {_shown(ranges)}"
        return
    for gap in ranges:
        if not (
            _is_count(gap["bar_count"]) and isinstance(gap["start_time"], str) and isinstance(gap["end_time"], str)
        ):
            yield f"gaps.ranges: expected two texts and a number of bars in each range, and one is {_shown(gap)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _shown(value: Any, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"
