"""Marks: what becomes of each stream of each symbol in a backtest."""

from __future__ import annotations

from collections.abc import Sequence

from mismartera.engine.data.data_manager import DataManager
from mismartera.schemas.config import SessionDataConfig

STREAMED, GENERATED, IGNORED = "STREAMED", "GENERATED", "IGNORED"


def mark_streams(
    data: DataManager, config: SessionDataConfig, symbols: Sequence[str]
) -> tuple[dict[str, dict[str, str]], tuple[str, ...]]:
    """Decide what is streamed from the catalog, what is generated from it, and what there is no data for.

    Returns
    -------
    (marks, events)
        ``marks[symbol][stream]`` is STREAMED, GENERATED or IGNORED; `events` are the kinds among ticks and quotes
        that the catalog holds.

    Raises
    ------
    CatalogError
        If there is no catalog or it lacks the base interval.
    UnknownNameError
        If a symbol is in no data that could be streamed.
    """
    base = config.base_interval.text
    data.require_kind(base)
    stored = data.catalog.kinds()
    events = [kind for kind in ("ticks", "quotes") if kind in config.streams]
    present = [kind for kind in events if kind in stored]
    held = {kind: data.catalog.find_symbols(symbols, [kind]) for kind in (base, *present)}
    if not set().union(*held.values()).issuperset(symbols):
        data.require_symbols(symbols, [base, *present])
    intervals = [interval.text for interval in config.generated_intervals]
    marks = {}
    for symbol in symbols:
        own = {kind: STREAMED if symbol in held.get(kind, ()) else IGNORED for kind in (base, *events)}
        generated = GENERATED if own[base] == STREAMED else IGNORED
        marks[symbol] = own | dict.fromkeys(intervals, generated)
    return marks, tuple(present)
