"""`wrong_figures`: values that the contract allows, and that nothing which reads an export back could use."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mismartera.engine.export.consumers.filter import EVENTS

_BIGGEST = 1 << 63  # what no column of whole numbers holds
_PRICES = ("high", "low", "vwap")
_COLUMNS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {"ticks": ((1,), (2,)), "quotes": ((1, 2), (3, 4))}
"""Of ticks and quotes: the places of prices and of whole numbers in a row."""


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
    yield from _head(document)
    stamps: dict[tuple[str, bool], set[str]] = {}
    for symbol, held in document["session_data"]["symbols"].items():
        session = held["session"]
        if not (session["volume"] is None or (_is_number(session["volume"]) and session["volume"] >= 0)):
            yield f"{symbol}.session.volume: expected 0 or more, or null, got {_shown(session['volume'])}"
        for name in _PRICES:
            if not (session[name] is None or _is_number(session[name])):
                yield f"{symbol}.session.{name}: expected a number or null, got {_shown(session[name])}"
        for part in ("session", "historical"):
            for kind, section in held.get(part, {}).get("data", {}).items():
                texts = [*_section(section), *_rows(kind, section.get("data", ()))]
                yield from (f"{symbol}.{part}.{kind}.{text}" for text in texts)
                if not texts:
                    stamps.setdefault((part, kind in EVENTS), set()).update(_stamps(section))
    for (part, _), texts_ in stamps.items():
        wrong = next((text for text in texts_ if not _is_moment(text)), None)
        if wrong is not None:
            yield f"session_data: expected times that exist, got {_shown(wrong)} in the {part} part"


def _head(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the members that say which export it is, and of which run."""
    metadata, system = document["_metadata"], document["system_manager"]
    for name, (expected, fits) in _METADATA.items():
        if not fits(metadata[name]):
            yield f"_metadata.{name}: expected {expected}, got {_shown(metadata[name])}"
    if not _is_zone(system["timezone"]):
        yield f"system_manager.timezone: expected a name such as America/New_York, got {_shown(system['timezone'])}"
    config = document.get("session_config", {})
    data = config.get("session_data_config", {}) if isinstance(config, dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("symbols", []), list):
        yield f"session_config: expected the configuration of a session, got {_shown(config)}"


def _rows(kind: str, rows: Iterable[list[Any]]) -> Iterator[str]:
    """Yield which columns hold other values than their own kind; of the prices of bars the contract says it."""
    prices, counts = _COLUMNS.get(kind, ((), (5,)))
    for place in prices:
        if not {type(row[place]) for row in rows} <= {int, float}:
            yield f"data: expected numbers in column {place + 1}"
    for place in counts:
        values = [row[place] for row in rows]
        if values and not (set(map(type, values)) == {int} and min(values) >= -_BIGGEST and max(values) < _BIGGEST):
            yield f"data: expected whole numbers in column {place + 1}"
    if kind == "ticks" and not {type(row[3]) for row in rows} <= {str, type(None)}:
        yield "data: expected texts or null in column 4"


def _stamps(section: Mapping[str, Any]) -> set[str]:
    ranges = section.get("gaps", {}).get("ranges", ())
    ends = {gap[name] for gap in ranges for name in ("start_time", "end_time")}
    return {row[0] for row in section.get("data", ())} | ends


def _section(section: Mapping[str, Any]) -> Iterator[str]:
    quality, total = section.get("quality"), section.get("total_count", 0)
    if not (quality is None or _is_number(quality)):
        yield f"quality: expected percent or null, got {_shown(quality)}"
    if not _is_count(total):
        yield f"total_count: expected a number of rows, got {_shown(total)}"
    if "gaps" in section:
        yield from _gaps(section["gaps"])


def _gaps(gaps: Any) -> Iterator[str]:
    if not isinstance(gaps, dict):
        yield f"gaps: expected an object, got {_shown(gaps)}"
        return
    for name in ("gap_count", "missing_bars"):
        if not _is_count(gaps.get(name)):
            yield f"gaps.{name}: expected 0 or more, got {_shown(gaps[name]) if name in gaps else 'nothing'}"
    ranges = gaps.get("ranges", [])
    if not isinstance(ranges, list):
        yield f"gaps.ranges: expected a list, got {_shown(ranges)}"
        return
    for gap in ranges:
        if not (
            _is_count(gap["bar_count"]) and isinstance(gap["start_time"], str) and isinstance(gap["end_time"], str)
        ):
            yield f"gaps.ranges: expected two texts and a number of bars in each range, and one is {_shown(gap)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _BIGGEST


def _is_moment(text: str) -> bool:
    """Return whether a text is a time, a date, or both."""
    try:
        (dt.time if text[2:3] == ":" else dt.datetime).fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_instant(value: object) -> bool:
    try:
        return isinstance(value, str) and dt.datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _is_date(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(dt.date.fromisoformat(value))
    except ValueError:
        return False


def _is_zone(name: object) -> bool:
    try:
        return isinstance(name, str) and bool(ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, such as America
        return False


def _is_sequence(value: object) -> bool:
    return _is_count(value) and value != 0


_METADATA: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "consumer": ("a text", lambda value: isinstance(value, str)),
    "sequence": ("1, 2, 3 …", _is_sequence),
    "generated_at": ("an instant with its offset from UTC", _is_instant),
    "base_sequence": ("1, 2, 3 … or null", lambda value: value is None or _is_count(value)),
    "session_date": ("a date or null", lambda value: value is None or _is_date(value)),
    "reset": ("true or false", lambda value: isinstance(value, bool)),
}


def _shown(value: Any, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"
