"""The export contract, version 2.1, as a judge of documents that shares no code with the package.

`problems` says where one export breaks the contract. `apply` and `differences` are the replay law: what a consumer
holds after a chain of exports is what a complete export of the last instant says. Only the standard library is used.

`load_contract` gives the tests a `Judge`. Where the folder ``../shared/contract`` lies beside the checkout, it asks the
judge in there too, and fails where the two disagree.
"""

from __future__ import annotations

import copy
import gzip
import importlib.util
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "contract" / "check_exports.py"

Export = dict[str, Any]
Place = tuple[str, str, str]
"""Symbol, "session" or "historical", and data type."""

BARS = ("timestamp", "open", "high", "low", "close", "volume")
EVENTS = {
    "ticks": ("timestamp", "price", "size", "exchange"),
    "quotes": ("timestamp", "bid", "ask", "bid_size", "ask_size"),
}
SECTIONS = ("_metadata", "system_manager", "performance_metrics", "time_manager", "threads", "session_data")
SYSTEM = {"_state", "_mode", "_start_time", "timezone", "exchange_group", "asset_class", "backtest_window"}
THREADS = {"session_coordinator", "data_processor", "data_quality_manager", "analysis_engine"}
IDENTITY = {
    "generated_at", "session_date", "consumer", "debug", "reset", "last_update", "base_sequence", "sequence",
}  # fmt: skip
CLOCK, DAY = r"\d{2}:\d{2}:\d{2}", r"\d{4}-\d{2}-\d{2}"


class ChainError(Exception):
    """An export that does not follow from what the consumer holds."""


def load(path: str) -> Export:
    """Return the document in a JSON file, compressed or not, after its checksum was found right."""
    content = Path(path).read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    elif content[:4] == b"\x28\xb5\x2f\xfd":
        import zstandard

        content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
    document: Export = json.loads(content, parse_constant=_refuse)
    told = document.pop("_checksum", None)
    if told is not None:
        body, comma, _ = content.rpartition(b'"_checksum"')[0].rpartition(b",")
        assert comma, f"{path}: nothing before the checksum"
        assert told == f"crc32:{zlib.crc32(body):08x}", f"{path}: the checksum is wrong"
        assert list(json.loads(content))[-1] == "_checksum", f"{path}: the checksum is not the last key"
    return document


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def sections(export: Export) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield symbol, part, data type and section of everything that has rows by symbol."""
    for symbol, held in export["session_data"]["symbols"].items():
        for part in ("session", "historical"):
            for kind, section in held.get(part, {}).get("data", {}).items():
                yield symbol, part, kind, section


def recorded(export: Export) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield analysis, name and section of every series."""
    for analysis, made in export["session_data"].get("analyses", {}).items():
        for name, section in made.get("series", {}).items():
            yield analysis, name, section


# One export


def problems(export: Export) -> list[str]:
    """Return where an export breaks the contract; what cannot be read at all breaks it too."""
    absent = [f"{name} is no object" for name in SECTIONS if not isinstance(export.get(name), dict)]
    if absent:
        return absent
    try:
        return list(_problems(export))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return [f"not of the contract's shape: {error!r}"]


def _problems(export: Export) -> Iterator[str]:
    meta, data = export["_metadata"], export["session_data"]
    complete = meta.get("complete") is True
    yield from _identity(meta)
    if complete is not ("session_config" in export):
        yield "session_config goes with complete exports, and with no others"
    yield from (f"system_manager lacks {name}" for name in sorted(SYSTEM - set(export["system_manager"])))
    for name, thread in export["threads"].items():
        if name not in THREADS:
            yield f"there is no thread {name}"
        if thread.get("thread_info", {}).keys() != {"name", "is_alive", "daemon"}:
            yield f"thread {name} does not say what it is"
        if type(thread.get("_running")) is not bool:
            yield f"thread {name} does not say whether it runs"
    if type(data.get("_session_active")) is not bool:
        yield "_session_active is neither true nor false"
    if data.get("_active_symbols") != sorted(data["symbols"]):
        yield "_active_symbols are not the symbols in order"
    for symbol, held in data["symbols"].items():
        lacking = {"volume", "high", "low", "vwap", "data"} - set(held.get("session", {}))
        yield from (f"{symbol}: the session lacks {name}" for name in sorted(lacking))
    for symbol, part, kind, section in sections(export):
        yield from (f"{symbol} {part} {kind}: {text}" for text in section_problems(part, kind, section, complete))
    for analysis, name, section in recorded(export):
        yield from (f"{analysis} {name}: {text}" for text in _series_problems(section, complete))
    if meta.get("changed_paths") != ([] if complete else sorted(_news(export))):
        yield "changed_paths are not the sections with news"
    yield from (f"{path} is not finite" for path in _infinite(export, ""))


def _identity(meta: dict[str, Any]) -> Iterator[str]:
    mode = meta.get("mode")
    if mode not in ("complete", "delta"):
        yield f"mode {mode!r}"
        return
    flags = {"complete": mode == "complete", "delta": mode == "delta", "diff_mode": mode == "delta"}
    yield from (f"{name} is {meta.get(name)!r} in mode {mode}" for name in flags if meta.get(name) != flags[name])
    if meta.get("version") not in ("2.0", "2.1"):
        yield f"version {meta.get('version')!r}"
    yield from (f"_metadata lacks {name}" for name in sorted(IDENTITY - set(meta)))
    if not re.fullmatch(rf"{DAY}T.+[+-]\d\d:\d\d", str(meta.get("generated_at"))):
        yield "generated_at has no offset from UTC"
    number, base, before = meta.get("sequence"), meta.get("base_sequence"), meta.get("last_update")
    if not isinstance(number, int) or number < 1:
        yield f"sequence {number!r}"
    elif mode == "complete":
        if base is not None or before is not None:
            yield "a complete export applies to none before it"
    elif number > 1 and base != number - 1:
        yield f"delta {number} applies to {base!r}"
    elif number > 1 and not before:
        yield f"delta {number} does not say when its base was made"


def _news(export: Export) -> Iterator[str]:
    """Yield the pointers to sections with new rows or new gap ranges, as RFC 6901 writes them."""
    for symbol, part, kind, section in sections(export):
        gaps = section.get("gaps") or {}
        if section.get("count") or gaps.get("ranges") or gaps.get("filled"):
            yield _pointer("session_data", "symbols", symbol, part, "data", kind)
    for analysis, name, section in recorded(export):
        if section.get("count"):
            yield _pointer("session_data", "analyses", analysis, "series", name)


def _pointer(*steps: str) -> str:
    return "/" + "/".join(step.replace("~", "~0").replace("/", "~1") for step in steps)


def section_problems(part: str, kind: str, section: dict[str, Any], complete: bool) -> list[str]:
    """Return where one data type of a symbol breaks the contract."""
    rows = section.get("data", [])
    found = []
    if section.get("count") != len(rows):
        found.append(f"{len(rows)} rows, told as {section.get('count')}")
    if part == "session":
        found += _total(section.get("total_count"), len(rows) if complete else None)
    columns, features = EVENTS.get(kind, BARS), ()
    if rows:
        named = section.get("columns")
        features = tuple(named[len(columns) :]) if part == "session" and kind not in EVENTS and named else ()
        if named != [*columns, *features]:
            found.append(f"columns {named}")
        if any(re.fullmatch(r"[A-Za-z_]\w*", name) is None for name in features) or max(Counter(named).values()) > 1:
            found.append(f"features {features}")
        if {len(row) for row in rows} != {len(columns) + len(features)}:
            return [*found, "rows of another width than the columns"]
    stamps = [row[0] for row in rows]
    if complete and stamps != sorted(stamps):
        found.append("rows out of the order of time")
    if kind in EVENTS:
        return found + (["latest is missing"] if section.get("total_count") and not section.get("latest") else [])
    if complete and len(set(stamps)) < len(stamps):
        found.append("two rows of one time")
    return found + list(_bar_problems(part, kind, rows)) + list(_figure_problems(part, section, stamps, complete))


def _bar_problems(part: str, kind: str, rows: list[list[Any]]) -> Iterator[str]:
    if not re.fullmatch(r"[1-9]\d*[smhdw]", kind):
        yield "no interval"
    if part == "session":
        forms = f"{CLOCK}|{DAY}" if kind.endswith("d") else CLOCK
    else:
        forms = DAY if kind == "1d" else f"{DAY}T{CLOCK}"
    for stamp, first, high, low, last, volume, *features in rows:
        if re.fullmatch(forms, stamp) is None:
            yield f"time {stamp!r}"
        if not (low <= first <= high and low <= last <= high and volume >= 0):
            yield f"no bar can be {[first, high, low, last, volume]}"
        if any(type(value) not in (int, float, type(None)) for value in features):
            yield f"features {features}"


def _figure_problems(part: str, section: dict[str, Any], stamps: list[str], complete: bool) -> Iterator[str]:
    if type(section.get("generated")) is not bool:
        yield "generated is neither true nor false"
    quality, gaps = section.get("quality"), section.get("gaps")
    if quality is not None and not 0 <= quality <= 100:
        yield f"quality {quality}"
    if gaps is None:
        if quality is not None and quality < 100:
            yield "bars are missing, and no gap says which"
    else:
        ranges = gaps.get("ranges", [])
        counts = len(ranges), sum(one["bar_count"] for one in ranges)
        if complete and counts != (gaps.get("gap_count"), gaps.get("missing_bars")):
            yield f"the ranges hold {counts[0]} gaps of {counts[1]} bars, which the counts do not"
        if any(one["end_time"] < one["start_time"] for one in ranges):
            yield "a gap that ends before it starts"
        if quality == 100 and gaps.get("missing_bars"):
            yield "nothing is missing, and bars are"
    if part == "historical" and stamps and section.get("dates") != sorted({stamp[:10] for stamp in stamps}):
        yield "dates of other days than the rows"


def _total(total: Any, rows: int | None) -> Iterator[str]:
    if not isinstance(total, int) or total < 0:
        yield f"total_count {total!r}"
    elif rows is not None and total != rows:
        yield f"a complete export of {rows} rows has {total} in all"


def _series_problems(section: dict[str, Any], complete: bool) -> Iterator[str]:
    rows, columns, total = section.get("data", []), section.get("columns", []), section.get("total_count")
    if section.get("count") != len(rows):
        yield f"{len(rows)} rows, told as {section.get('count')}"
    yield from _total(total, len(rows) if complete else None)
    if isinstance(total, int) and total < len(rows):
        yield f"{len(rows)} rows of {total} in all"
    if any(len(row) != len(columns) for row in rows):
        yield "rows of another width than the columns"


def _infinite(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, float):
        if not math.isfinite(value):
            yield path
    elif isinstance(value, dict | list):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(item, float | dict | list):
                yield from _infinite(item, f"{path}/{name}")


# A chain of exports


def apply(state: Export | None, export: Export) -> Export:
    """Return what a consumer holds once it received one more export; what it held before stays as it is.

    Rows are held by their time, so that a later one takes the place of an earlier; of ticks and quotes, and of series,
    in the order they came.
    """
    meta, data = export["_metadata"], export["session_data"]
    held: Export = {"symbols": {}, "analyses": {}}
    if not meta["complete"]:
        if state is not None and meta["base_sequence"] != state["sequence"]:
            raise ChainError(
                f"delta {meta['sequence']} applies to {meta['base_sequence']}, held is {state['sequence']}"
            )
        if state is None and meta["sequence"] != 1:
            raise ChainError(f"delta {meta['sequence']} has nothing to apply to")
        held = held if state is None else copy.deepcopy(state)
    if meta.get("reset"):
        held["analyses"] = {}
        for symbol in held["symbols"].values():
            symbol["session"] = {}
    fresh = {"sequence": meta["sequence"], "symbols": {}, "analyses": {}}
    fresh["head"] = {name: value for name, value in data.items() if name not in ("symbols", "analyses")}
    for name, parts in data["symbols"].items():
        symbol = held["symbols"].get(name, {"session": {}, "historical": {"data": {}}})
        fresh["symbols"][name] = _merged_symbol(name, symbol, parts, complete=meta["complete"])
    for name, made in data.get("analyses", {}).items():
        fresh["analyses"][name] = _merged_analysis(name, held["analyses"].get(name, {}), made)
    return copy.deepcopy(fresh)


def _merged_symbol(name: str, held: Export, parts: Export, *, complete: bool) -> Export:
    kinds = dict(held["session"])
    for kind, section in parts["session"]["data"].items():
        kinds[kind] = _merged_section(kind, kinds.get(kind), section)
        if len(kinds[kind]["rows"]) != section["total_count"]:
            raise ChainError(f"{name} {kind}: {len(kinds[kind]['rows'])} rows, and {section['total_count']} are there")
    past = parts.get("historical", {})
    if not complete and not past.get("data"):
        past = held["historical"] | {key: value for key, value in past.items() if key != "data"}
    figures = {key: value for key, value in parts["session"].items() if key != "data"}
    return {"session": kinds, "figures": figures, "historical": past}


def _merged_section(kind: str, held: Export | None, section: Export) -> Export:
    before = held or {"rows": [], "ranges": {}, "filled": {}, "told": {}}
    rows = [*before["rows"], *section.get("data", [])]
    if kind not in EVENTS:
        by_time = {row[0]: row for row in rows}
        rows = [by_time[time] for time in sorted(by_time)]
    gaps = section.get("gaps", {})
    ranges = before["ranges"] | {one["start_time"]: one for one in gaps.get("ranges", [])}
    told = {name: section[name] for name in ("quality", "generated", "latest", "total_count") if name in section}
    counts = {name: gaps[name] for name in ("gap_count", "missing_bars") if name in gaps}
    return {
        "rows": rows,
        "ranges": {start: one for start, one in ranges.items() if one["bar_count"]},
        "filled": before["filled"] | {one["start_time"]: one for one in gaps.get("filled", [])},
        "told": before["told"] | told | counts,
    }


def _merged_analysis(name: str, held: Export, made: Export) -> Export:
    series = dict(held.get("series", {}))
    for key, section in made.get("series", {}).items():
        series[key] = [*series.get(key, []), *section.get("data", [])]
        if len(series[key]) != section["total_count"]:
            raise ChainError(f"{name} {key}: {len(series[key])} rows, and {section['total_count']} are there")
    return {**{key: value for key, value in made.items() if key != "series"}, "series": series}


def differences(state: Export, complete: Export) -> list[str]:
    """Return where what a consumer holds is not what a complete export of the same instant says."""
    wanted = apply(None, complete)
    return [
        text for name in ("head", "symbols", "analyses") for text in _unequal(state.get(name), wanted[name], f"{name}")
    ]


def _unequal(held: Any, wanted: Any, path: str) -> Iterator[str]:
    if isinstance(held, dict) and isinstance(wanted, dict):
        for name in sorted({*held, *wanted}):
            if name in held and name in wanted:
                yield from _unequal(held[name], wanted[name], f"{path}/{name}")
            else:
                yield f"{path}/{name} is only {'held' if name in held else 'in the complete export'}"
    elif held != wanted:
        yield f"{path} is not what the complete export says"


# Both judges


@dataclass(frozen=True)
class Held:
    """What a consumer holds, as each judge has it; of the other judge None where it is absent."""

    own: Export
    shared: Any

    def rows(self, symbol: str, kind: str) -> int:
        """Return how many session rows of a symbol's data type are held."""
        session = self.own["symbols"].get(symbol, {}).get("session", {})
        return len(session[kind]["rows"]) if kind in session else 0


class Judge:
    """This module, and beside it the judge in ``../shared/contract`` where that is there."""

    sections = staticmethod(sections)
    load = staticmethod(load)

    def __init__(self, shared: ModuleType | None) -> None:
        self._shared = shared

    def problems(self, export: Export) -> list[str]:
        """Return where an export breaks the contract; both judges must agree whether it does."""
        found = problems(export)
        if self._shared is not None:
            self._agree(found, "problems", export)
        return found

    def section_problems(self, part: str, kind: str, section: dict[str, Any], complete: bool) -> list[str]:
        """Return where one data type of a symbol breaks the contract."""
        found = section_problems(part, kind, section, complete)
        if self._shared is not None:
            self._agree(found, "_section_problems", part, kind, section, complete)
        return found

    def apply(self, state: Held | None, export: Export) -> Held:
        """Return what a consumer holds once it received one more export."""
        own = apply(None if state is None else state.own, export)
        if self._shared is None:
            return Held(own, None)
        return Held(own, self._shared.apply(None if state is None else state.shared, export))

    def differences(self, state: Held, complete: Export) -> list[str]:
        """Return where what a consumer holds is not what a complete export says, by either judge."""
        found = differences(state.own, complete)
        return found if self._shared is None else found + self._shared.differences(state.shared, complete)

    def _agree(self, found: list[str], name: str, *given: Any) -> None:
        try:
            other = getattr(self._shared, name)(*given)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            other = [repr(error)]
        assert bool(found) == bool(other), f"the judges disagree: {found[:3]} here, {other[:3]} there"


@cache
def load_contract() -> Judge:
    """Return the judge of exports."""
    if not SHARED.exists():
        return Judge(None)
    spec = importlib.util.spec_from_file_location("check_exports", SHARED)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Judge(module)
