"""`check_export`: whether one export is what the contract says, shape and arithmetic."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from operator import gt, lt
from typing import Any

import orjson

from mismartera.engine.export.consumers.filter import EVENTS
from mismartera.engine.export.document.rows import columns_of
from mismartera.schemas.errors import NotAnExportError

from .check_figures import wrong_figures

_OBJECTS = ("_metadata", "system_manager", "performance_metrics", "time_manager", "threads", "session_data")
_SYSTEM = ("_state", "_mode", "_start_time", "timezone", "exchange_group", "asset_class", "backtest_window")
_THREADS = ("session_coordinator", "data_processor", "data_quality_manager", "analysis_engine")
_ALWAYS = (
    "generated_at", "session_date", "consumer", "debug", "reset", "last_update", "base_sequence", "sequence",
)  # fmt: skip
_DEEPEST = 500  # beyond it Python itself could not print what is wrong
VERSIONS = ("2.0", "2.1")
_TOO_DEEP = f"expected at most {_DEEPEST} objects and lists one inside another, and there are more"
_METRICS = ("volume", "high", "low", "vwap", "data")
_INTERVAL = re.compile(r"[1-9][0-9]*[smhdw]")
_TIME, _DATE = r"\d\d:\d\d:\d\d", r"\d{4}-\d\d-\d\d"
_LENGTHS = {_TIME: 8, _DATE: 10, f"{_DATE}T{_TIME}": 19}


def check_export(document: Mapping[str, Any], *, has_rows: bool = True) -> list[str]:
    """Return what is wrong with an export, a line each; empty where it keeps the contract.

    Parameters
    ----------
    document : mapping
        The whole export as plain data; anything may be wrong with it.
    has_rows : bool
        Whether sections hold their rows; else only what is beside them is checked.

    Notes
    -----
    Cost: O(rows), column by column.
    """
    found = [f"{name}: expected an object" for name in _OBJECTS if not isinstance(document.get(name), dict)]
    values = list(_values(document))
    if found or _TOO_DEEP in values:
        return found or values
    complete = document["_metadata"].get("complete") is True
    found += _metadata(document["_metadata"])
    if complete and "session_config" not in document:
        found.append("session_config: missing from a complete export")
    if not complete and "session_config" in document:
        found.append("session_config: belongs into complete exports alone")
    found += [f"system_manager.{name}: missing" for name in _SYSTEM if name not in document["system_manager"]]
    for name, thread in document["threads"].items():
        found += _thread(name, thread)
    found += _session_data(document["_metadata"], document["session_data"], complete=complete, has_rows=has_rows)
    return found + values


def require_sound(document: Mapping[str, Any], path: object, *, has_rows: bool = True) -> None:
    """Raise `NotAnExportError`, which calls the export `path`, unless it keeps the contract and can be read back."""
    try:
        orjson.dumps(document)
    except orjson.JSONEncodeError as error:  # such as objects nested too deep
        raise NotAnExportError(path, f"it cannot be written as JSON again ({error})") from error
    problems = check_export(document, has_rows=has_rows)
    require_no_problem(problems or list(wrong_figures(document)), path, has_listing=bool(problems))


def require_no_problem(problems: Sequence[str], path: object, *, has_listing: bool = True) -> None:
    """Raise `NotAnExportError` with the first problem, if there is any."""
    if problems:
        more = f" ({len(problems) - 1} more problems)" if len(problems) > 1 else ""
        hint = f"'mismartera export check {path}' lists what is wrong with it" if has_listing else None
        raise NotAnExportError(path, f"{problems[0]}{more}", hint=hint)


def _metadata(metadata: dict[str, Any]) -> Iterator[str]:
    mode = metadata.get("mode")
    if mode not in ("complete", "delta"):
        yield f"_metadata.mode: {mode!r}; expected 'complete' or 'delta'"
        return
    delta = mode == "delta"
    expected = {"delta": delta, "complete": not delta, "diff_mode": delta}
    if metadata.get("version") not in VERSIONS:
        yield f"_metadata.version: {metadata.get('version')!r}; expected one of {', '.join(VERSIONS)}"
    for name, value in expected.items():
        if metadata.get(name) != value:
            yield f"_metadata.{name}: {metadata.get(name)!r}; expected {value!r} in mode {mode}"
    yield from (f"_metadata.{name}: missing" for name in _ALWAYS if name not in metadata)
    if not re.search(r"T.*[+-]\d\d:\d\d$", str(metadata.get("generated_at"))):
        yield f"_metadata.generated_at: {metadata.get('generated_at')!r} has no offset from UTC"
    sequence, base, last = (metadata.get(name) for name in ("sequence", "base_sequence", "last_update"))
    if not isinstance(sequence, int) or sequence < 1:
        yield f"_metadata.sequence: {sequence!r}; expected 1, 2, 3 …"
    elif delta and sequence > 1 and base != sequence - 1:
        yield f"_metadata.base_sequence: {base!r}; delta {sequence} applies to {sequence - 1}"
    if delta and sequence != 1 and not last:
        yield "_metadata.last_update: missing, though the delta has a base"
    if not delta:
        for name, value in (("base_sequence", base), ("last_update", last)):
            if value is not None:
                yield f"_metadata.{name}: {value!r}; expected null in a complete export"


def _thread(name: str, thread: Any) -> Iterator[str]:
    if name not in _THREADS:
        yield f"threads.{name}: no such thread; there are {', '.join(_THREADS)}"
    thread = _object(thread)
    if set(_object(thread.get("thread_info"))) != {"name", "is_alive", "daemon"}:
        yield f"threads.{name}.thread_info: expected name, is_alive and daemon"
    if not isinstance(thread.get("_running"), bool):
        yield f"threads.{name}._running: expected true or false"


def _session_data(metadata: dict[str, Any], data: dict[str, Any], *, complete: bool, has_rows: bool) -> Iterator[str]:
    if not isinstance(data.get("_session_active"), bool):
        yield "session_data._session_active: expected true or false"
    symbols = data.get("symbols")
    if not isinstance(symbols, dict):
        yield "session_data.symbols: expected an object"
        return
    if data.get("_active_symbols") != sorted(symbols):
        yield "session_data._active_symbols: expected the names under symbols, sorted"
    news = []
    for symbol, held in symbols.items():
        session = _object(_object(held).get("session"))
        yield from (f"{symbol}.session.{name}: missing" for name in _METRICS if name not in session)
        for part in ("session", "historical"):
            kinds = _object(_object(held).get(part, {})).get("data", {})
            if not isinstance(kinds, dict) or not isinstance(_object(held).get(part, {}), dict):
                yield f"{symbol}.{part}: expected an object that holds one under data"
            for kind, section in _object(kinds).items():
                where = f"{symbol}.{part}.{kind}"
                if not isinstance(section, dict):
                    yield f"{where}: expected an object"
                    continue
                texts = _section if has_rows else _bare_section
                yield from (f"{where}: {text}" for text in texts(part, kind, section, complete=complete))
                if section.get("count") or (not complete and _object(section.get("gaps")).get("ranges")):
                    steps = ("session_data", "symbols", symbol, part, "data", kind)
                    news.append("".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps))
    expected = [] if complete else sorted(news)
    if metadata.get("changed_paths") != expected:
        told = metadata.get("changed_paths")
        count = len(told) if isinstance(told, list) else 0
        yield f"_metadata.changed_paths: {count} paths, not the {len(expected)} of the sections that carry news"


def _section(part: str, kind: str, section: dict[str, Any], *, complete: bool) -> Iterator[str]:
    rows = section.get("data", [])
    if not isinstance(rows, list) or not set(map(type, rows)) <= {list}:
        yield "data: expected a list of rows"
        return
    if section.get("count") != len(rows):
        yield f"count {section.get('count')}, and {len(rows)} rows"
    if part == "session":
        yield from _total(section.get("total_count"), len(rows), complete=complete)
    names = list(columns_of(kind))
    if rows and section.get("columns") != names:
        yield f"columns {section.get('columns')}; expected {names}"
    if not set(map(len, rows)) <= {len(names)}:
        yield f"rows have {sorted(set(map(len, rows)))} values; expected {len(names)}"
        return
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    stamps = columns[0]
    if not set(map(type, stamps)) <= {str}:
        yield "a timestamp is no text"
        return
    if complete and list(stamps) != sorted(stamps):
        yield "rows are not in the order of time"
    if not all(map(_are_finite, columns[1:])):
        yield "a value of a row is not a finite number"
    if kind in EVENTS:
        if section.get("total_count") and not section.get("latest"):
            yield "latest: missing"
        return
    yield from _bars(part, kind, columns, complete=complete)
    yield from _figures(section, complete=complete)
    if part == "historical" and rows and section.get("dates") != sorted({stamp[:10] for stamp in stamps}):
        yield "dates: not those of the rows"


def _bare_section(part: str, kind: str, section: dict[str, Any], *, complete: bool) -> Iterator[str]:
    """Yield what is wrong with a section whose rows are in tables."""
    if part == "session":
        yield from _total(section.get("total_count"), section["count"], complete=complete)
    if kind in EVENTS:
        return
    if not _INTERVAL.fullmatch(kind):
        yield "neither an interval nor ticks nor quotes"
    yield from _figures(section, complete=complete)


def _total(total: Any, rows: int, *, complete: bool) -> Iterator[str]:
    if not isinstance(total, int) or total < 0:
        yield f"total_count {total!r}; expected a number of rows"
    elif complete and total != rows:
        yield f"total_count {total}, and a complete export of {rows} rows"


def _bars(part: str, kind: str, columns: list[tuple[Any, ...]], *, complete: bool) -> Iterator[str]:
    if not _INTERVAL.fullmatch(kind):
        yield "neither an interval nor ticks nor quotes"
    stamps, numbers = columns[0], columns[1:]
    if complete and len(set(stamps)) != len(stamps):
        yield "two rows of one timestamp"
    if not stamps:
        return
    if part == "session":
        forms = (_TIME, _DATE) if kind.endswith("d") else (_TIME,)
    else:
        forms = (_DATE,) if kind == "1d" else (f"{_DATE}T{_TIME}",)
    if not _all_of(stamps, forms):
        yield f"a timestamp is not of the form {'|'.join(forms)}"
    if any(not set(map(type, values)) <= {int, float} for values in numbers):
        yield "a price or volume is no number"
        return
    opened, high, low, close, volume = numbers
    outside = any(any(map(gt, low, price)) or any(map(lt, high, price)) for price in (opened, close))
    if outside or min(volume) < 0:
        bars = zip(opened, high, low, close, volume, strict=True)
        wrong = sum(not (lo <= min(o, c) and hi >= max(o, c) and v >= 0) for o, hi, lo, c, v in bars)
        yield f"{wrong} rows cannot be bars: low above or high below another price, or negative volume"


def _all_of(stamps: tuple[str, ...], forms: tuple[str, ...]) -> bool:
    """Return whether every stamp is of one of the forms; one search over all of them, whatever their number."""
    lengths = {_LENGTHS[form] for form in forms}
    lines = "\n".join(stamps)
    return set(map(len, stamps)) <= lengths and re.fullmatch(f"(?:(?:{'|'.join(forms)})(?:\n|$))*", lines) is not None


def _figures(section: dict[str, Any], *, complete: bool) -> Iterator[str]:
    if not isinstance(section.get("generated"), bool):
        yield "generated: expected true or false"
    quality, gaps = section.get("quality"), section.get("gaps")
    if quality is not None and not (isinstance(quality, int | float) and 0 <= quality <= 100):
        yield f"quality {quality!r}; expected percent or null"
        return
    if gaps is None:
        if quality is not None and quality < 100:
            yield f"quality {quality} without gaps"
        return
    if not isinstance(gaps, dict):
        yield "gaps: expected an object"
        return
    ranges = gaps.get("ranges", [])
    try:
        missing = sum(item["bar_count"] for item in ranges)
        backwards = any(item["start_time"] > item["end_time"] for item in ranges)
    except (KeyError, TypeError):
        yield "a gap range is not of start_time, end_time and bar_count"
        return
    if complete and gaps.get("gap_count") != len(ranges):
        yield f"gap_count {gaps.get('gap_count')}, and {len(ranges)} ranges"
    if complete and gaps.get("missing_bars") != missing:
        yield f"missing_bars {gaps.get('missing_bars')}, and {missing} in the ranges"
    if backwards:
        yield "a gap range ends before it starts"
    if quality == 100 and gaps.get("missing_bars"):
        yield f"quality 100 with {gaps['missing_bars']} missing bars"


def _values(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield where a number is NaN or infinite, and whether it is nested too deep; rows are seen with their section."""
    level: list[tuple[str, Any]] = [("", document)]
    for _ in range(_DEEPEST):
        deeper: list[tuple[str, Any]] = []
        for path, value in level:
            if isinstance(value, float) and not math.isfinite(value):
                yield f"{path}: not a finite number"
            elif isinstance(value, dict):
                rows = isinstance(value.get("data"), list)
                deeper += [(f"{path}/{name}", item) for name, item in value.items() if not (rows and name == "data")]
            elif isinstance(value, list):
                deeper += [(f"{path}/{place}", item) for place, item in enumerate(value)]
        level = deeper
    if level:
        yield _TOO_DEEP


def _are_finite(values: tuple[Any, ...]) -> bool:
    types = set(map(type, values))
    if float not in types or (types == {float} and math.isfinite(sum(values))):
        return True  # what is not finite makes no finite sum
    return all(math.isfinite(value) for value in values if type(value) is float)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
