"""What `mismartera export show` prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mismartera.schemas.errors import IntervalError, NotAnExportError, UnknownNameError
from mismartera.schemas.interval import Interval

from .console import say, table
from .timeline import Day, timeline

_EVENTS = ("ticks", "quotes")
_SHOWN_RANGES = 20
_LONGEST_S = 2 * 86_400


def show_export(path: Path, document: dict[str, Any], *, interval: str | None, limit: int) -> None:
    """Print a summary of an export.

    Parameters
    ----------
    path : Path
    document : dict
        The export as plain data.
    interval : str or None
        Whose bars the timeline and the symbols' quality are of; by default the finest that was streamed.
    limit : int
        Most symbols to show; 0 for all.

    Raises
    ------
    UnknownNameError
        If the export has no such interval.
    NotAnExportError
        If its session cannot be drawn.
    """
    symbols = document["session_data"].get("symbols", {})
    kind = _chosen(symbols, interval)
    table(str(path), ["what", "figure"], list(_figures(document)), ["left", "left"])
    say()
    columns = ["scope", "type", "symbols", "rows", "visible", "lowest quality %", "gaps", "missing bars"]
    table("Data types", columns, list(_kinds(symbols)))
    say()
    shown = _shown(symbols, kind, limit)
    part = f", worst quality first ({len(shown)} of {len(symbols)})" if len(shown) < len(symbols) else ""
    columns = ["symbol", "volume", "high", "low", "vwap", "quality %", "missing bars"]
    table(f"Symbols{part}", columns, [_symbol(name, symbols[name], kind) for name in shown])
    if kind is None:
        return
    say()
    if document["_metadata"].get("complete"):
        _show_timeline(path, document, shown, kind)
    else:
        _show_ranges(symbols, shown)


def _figures(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    metadata, system = document["_metadata"], document.get("system_manager", {})
    base = metadata.get("base_sequence")
    yield "mode", str(metadata.get("mode"))
    yield "instant", str(metadata.get("generated_at"))
    yield "session", str(metadata.get("session_date") or "–")
    yield "consumer", str(metadata.get("consumer"))
    yield "sequence", f"{metadata.get('sequence')}" + ("" if base is None else f", applies to {base}")
    if metadata.get("reset"):
        yield "reset", "the session rolled over: its earlier rows are to be dropped"
    if not metadata.get("complete"):
        yield "sections with news", f"{len(metadata.get('changed_paths') or []):,}"
    yield "system", f"{system.get('_state')}, {system.get('_mode')}, {system.get('exchange_group')}"
    yield "symbols", f"{len(document['session_data'].get('symbols', {})):,}"


def _kinds(symbols: dict[str, Any]) -> Iterator[list[object]]:
    """Yield a row per scope and data type, over all symbols."""
    for scope in ("session", "historical"):
        names: dict[str, list[dict[str, Any]]] = {}
        for parts in symbols.values():
            for kind, section in parts.get(scope, {}).get("data", {}).items():
                names.setdefault(kind, []).append(section)
        for kind, sections in names.items():
            qualities = [part["quality"] for part in sections if part.get("quality") is not None]
            gaps = [part["gaps"] for part in sections if "gaps" in part]
            made = f"{kind} (generated)" if any(part.get("generated") for part in sections) else kind
            yield [
                scope, made, len(sections), sum(part["count"] for part in sections),
                sum(part.get("total_count", part["count"]) for part in sections),
                float(min(qualities)) if qualities else None,
                sum(part["gap_count"] for part in gaps) if gaps else None,
                sum(part["missing_bars"] for part in gaps) if gaps else None,
            ]  # fmt: skip


def _chosen(symbols: dict[str, Any], interval: str | None) -> str | None:
    """Return the interval to look at: the one asked for, or the finest that is not generated."""
    there: dict[str, bool] = {}
    for parts in symbols.values():
        for kind, section in parts.get("session", {}).get("data", {}).items():
            if kind not in _EVENTS and _is_interval(kind):
                there[kind] = section.get("generated") is True
    if interval is not None:
        text = Interval(interval).text
        if text not in there:
            raise UnknownNameError("interval", text, sorted(there, key=Interval))
        return text
    return min(there, key=lambda kind: (there[kind], Interval(kind)), default=None)


def _is_interval(kind: str) -> bool:
    """Return whether bars of it can be drawn: the contract has intervals, such as weeks, that the engine has not."""
    try:
        Interval(kind)
    except IntervalError:
        return False
    return True


def _shown(symbols: dict[str, Any], kind: str | None, limit: int) -> list[str]:
    """Return the symbols to show: all by name, or so many, those of the worst quality first."""
    if not limit or len(symbols) <= limit:
        return sorted(symbols)
    quality = {name: _section(parts, kind).get("quality") for name, parts in symbols.items()}
    worst = sorted(symbols, key=lambda name: (100.0 if quality[name] is None else quality[name], name))
    return worst[:limit]


def _section(parts: dict[str, Any], kind: str | None) -> dict[str, Any]:
    section: dict[str, Any] = parts.get("session", {}).get("data", {}).get(kind, {})
    return section


def _symbol(name: str, parts: dict[str, Any], kind: str | None) -> list[object]:
    session, section = parts.get("session", {}), _section(parts, kind)
    quality = section.get("quality")
    prices = [_price(session.get(field)) for field in ("high", "low", "vwap")]
    missing = section.get("gaps", {}).get("missing_bars")
    return [name, session.get("volume"), *prices, None if quality is None else float(quality), missing]


def _price(value: float | None) -> float | None:
    return None if value is None else float(value)


def _show_timeline(path: Path, document: dict[str, Any], shown: list[str], kind: str) -> None:
    symbols = document["session_data"]["symbols"]
    day = _day(path, document)
    if day is None or Interval(kind).is_daily:
        return
    rows = {name: [row[0] for row in _section(symbols[name], kind).get("data", [])] for name in shown}
    say(f"Bars of {kind} over the session:  █ all there   ▒ some missing   · none   blank: not due")
    for line in timeline(day, Interval(kind).us // 1_000_000, rows):
        say(line)


def _day(path: Path, document: dict[str, Any]) -> Day | None:
    try:
        day = Day.of(document)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        day = Day((), 0)
    if day is None:
        return None
    moments = [moment for segment in day.segments for moment in segment]
    if not moments or moments != sorted(set(moments)) or moments[-1] - moments[0] > _LONGEST_S:
        raise NotAnExportError(
            path, "time_manager: expected the session's open, breaks, close and current_time as instants in order"
        )
    return day


def _show_ranges(symbols: dict[str, Any], shown: list[str]) -> None:
    rows = [
        [name, kind, gap["start_time"], gap["end_time"], gap["bar_count"]]
        for name in shown
        for kind, section in symbols[name]["session"]["data"].items()
        for gap in section.get("gaps", {}).get("ranges", [])
    ]
    if rows:
        more = f" ({_SHOWN_RANGES} of {len(rows)})" if len(rows) > _SHOWN_RANGES else ""
        table(
            f"Gap ranges that are new or changed{more}", ["symbol", "type", "from", "to", "bars"], rows[:_SHOWN_RANGES]
        )
