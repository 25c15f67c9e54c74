"""Our checks and the contract's judge: the same verdict on sound exports and on damaged ones."""

from __future__ import annotations

import copy
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from mismartera.engine.export.reading.check import check_export
from mismartera.engine.export.reading.loading import load
from mismartera.schemas.gaps import GapInfo
from tests.contract import load_contract
from tests.golden.exporting import make_catalog, make_run
from tests.golden.small import make_system, minutes

Steps = tuple[Any, ...]
S = ("session_data", "symbols", "AAPL", "session")
M1 = (*S, "data", "1m")
PAST = ("session_data", "symbols", "AAPL", "historical", "data")
GONE = object()


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    system = make_run(make_catalog(tmp_path_factory.mktemp("catalog")), symbols=["AAPL", "ZZ"])
    kept: list[dict[str, Any]] = []

    def take(us: int) -> None:
        if us % 3_600_000_000 == 0 and len(kept) < 2:
            kept.append(system.system_info(complete=False))

    system.hooks.stepped.append(take)
    system.run(until="2025-07-02T12:00")
    return {"complete": system.system_info(complete=True), "first": kept[0], "delta": kept[1]}


DAMAGES: list[tuple[Steps, Any]] = [
    (("_metadata",), GONE), (("threads",), []), (("time_manager",), GONE), (("session_data",), None),
    (("session_config",), GONE), (("session_config",), {}),
    (("_metadata", "mode"), "full"), (("_metadata", "mode"), "delta"), (("_metadata", "mode"), "complete"),
    (("_metadata", "version"), "1.0"), (("_metadata", "delta"), None), (("_metadata", "diff_mode"), 3),
    (("_metadata", "consumer"), GONE), (("_metadata", "reset"), GONE), (("_metadata", "session_date"), GONE),
    (("_metadata", "generated_at"), "2025-07-02T11:22:00"), (("_metadata", "generated_at"), None),
    (("_metadata", "sequence"), 0), (("_metadata", "sequence"), "7"), (("_metadata", "sequence"), 9),
    (("_metadata", "base_sequence"), 7), (("_metadata", "base_sequence"), None),
    (("_metadata", "last_update"), "2025-07-02T09:30:00-04:00"), (("_metadata", "last_update"), None),
    (("_metadata", "changed_paths"), ["/session_data"]), (("_metadata", "changed_paths"), []),
    (("_metadata", "changed_paths"), GONE),
    (("system_manager", "timezone"), GONE), (("system_manager", "more"), 1),
    (("threads", "janitor"), {"thread_info": {"name": 1, "is_alive": 1, "daemon": 1}, "_running": True}),
    (("threads", "data_processor", "_running"), "yes"), (("threads", "data_processor", "thread_info"), {}),
    (("threads", "data_processor"), GONE),
    (("session_data", "_session_active"), None), (("session_data", "_active_symbols"), ["ZZ", "AAPL"]),
    (("session_data", "symbols", "ZZ"), GONE),
    ((*S, "vwap"), GONE), ((*S, "high"), None), ((*S, "low"), float("inf")), ((*S, "volume"), float("nan")),
    ((*M1, "count"), 1), ((*M1, "total_count"), 7), ((*M1, "total_count"), -1), ((*M1, "total_count"), "7"),
    ((*M1, "columns"), ["a"]), ((*M1, "columns"), GONE), ((*M1, "generated"), None), ((*M1, "generated"), GONE),
    ((*M1, "quality"), 101.0), ((*M1, "quality"), -0.5), ((*M1, "quality"), 100.0), ((*M1, "quality"), None),
    ((*M1, "gaps"), GONE), ((*M1, "gaps", "gap_count"), 99), ((*M1, "gaps", "missing_bars"), 99),
    ((*M1, "gaps", "ranges"), []), ((*M1, "gaps", "ranges", 0, "bar_count"), 77),
    ((*M1, "gaps", "ranges", 0, "end_time"), "00:00:00"), ((*M1, "gaps", "ranges", 0, "start_time"), GONE),
    ((*M1, "data", 3), GONE), ((*M1, "data", 3), ["09:33:00", 1.0]), ((*M1, "data", 0, 0), "23:00:00"),
    ((*M1, "data", 3, 0), "9:33"), ((*M1, "data", 3, 0), "2025-07-02T09:33:00"), ((*M1, "data", 3, 0), "09:33:00\n"),
    ((*M1, "data", 3, 2), 0.001), ((*M1, "data", 3, 3), 1e9), ((*M1, "data", 3, 5), -1), ((*M1, "data", 3, 4), None),
    ((*M1, "data", 3, 1), float("nan")), ((*M1, "data", 3, 2), float("inf")), ((*M1, "data", 3, 5), "7"),
    ((*M1, "data", 1), ["09:30:00", 1.0, 1.0, 1.0, 1.0, 1]),
    ((*S, "data", "1x"), {"count": 0, "total_count": 0, "generated": False, "quality": None}),
    ((*S, "data", "60s"), {"count": 0, "total_count": 0, "generated": False, "quality": 50}),
    ((*S, "data", "ticks", "latest"), GONE), ((*S, "data", "ticks", "data", 0), ["09:30:00.0"]),
    ((*S, "data", "quotes", "columns"), GONE), ((*S, "data", "ticks", "data", 0, 0), "99"),
    ((*S, "data", "ticks", "data", 2, 1), float("nan")), ((*S, "data", "ticks", "total_count"), 0),
    ((*PAST, "1m", "dates"), []), ((*PAST, "1m", "data", 0, 0), "09:30:00"), ((*PAST, "1d", "quality"), 99),
    ((*PAST, "1m", "count"), 0), ((*PAST, "1d", "data", 0, 0), "2025-06-30T00:00:00"), ((*PAST, "1m"), GONE),
    (("session_data", "symbols", "AAPL", "historical"), []), ((*S, "data"), []), ((*M1, "gaps"), "x"), (PAST, 3),
    (("session_data", "symbols", "AAPL", "historical"), GONE), (("session_data", "symbols", "AAPL", "historical"), {}),
    ((*M1, "gaps", "ranges"), GONE), ((*PAST, "1m", "generated"), 1), ((*PAST, "1m", "gaps", "missing_bars"), 0),
    (("performance_metrics", "x"), float("-inf")), (("performance_metrics", "x"), 1.0),
]  # fmt: skip


def damaged(document: dict[str, Any], path: Steps, value: Any) -> dict[str, Any] | None:
    """A copy with one value changed; None where the document has no such place."""
    made: Any = copy.copy(document)
    place = made
    try:
        for step in path[:-1]:
            place[step] = copy.copy(place[step])
            place = place[step]
        if value is GONE:
            del place[path[-1]]
        else:
            place[path[-1]] = value
    except (KeyError, IndexError):
        return None
    return dict(made)


def judged(contract: Any, document: dict[str, Any]) -> bool:
    """Whether the contract's judge is content; what it stumbles over it is not content with."""
    try:
        return not contract.problems(document)
    except (KeyError, TypeError, AttributeError, ValueError):
        return False


@pytest.mark.parametrize("mode", ["complete", "first", "delta"])
def test_sound_exports_have_no_problem(exports: dict[str, dict[str, Any]], mode: str) -> None:
    assert check_export(exports[mode]) == load_contract().problems(exports[mode]) == []


@pytest.mark.parametrize("mode", ["complete", "first", "delta"])
def test_the_verdict_is_the_contract_s(exports: dict[str, dict[str, Any]], mode: str) -> None:
    contract, verdicts = load_contract(), []
    for path, value in DAMAGES:
        document = damaged(exports[mode], path, value)
        if document is not None:
            found = check_export(document)
            assert (not found) == judged(contract, document), (path, value, found)
            verdicts.append(bool(found))
    assert sum(verdicts) > 45
    assert not all(verdicts)


def test_a_problem_names_its_place(exports: dict[str, dict[str, Any]]) -> None:
    document = damaged(exports["complete"], (*M1, "data", 3, 5), -1)
    assert document is not None
    assert check_export(document) == [
        "AAPL.session.1m: 1 rows cannot be bars: low above or high below another price, or negative volume"
    ]
    assert check_export({}) == [
        f"{name}: expected an object"
        for name in (
            "_metadata", "system_manager", "performance_metrics", "time_manager", "threads", "session_data",
        )
    ]  # fmt: skip


FIGURES: list[tuple[Steps, Any, str]] = [
    ((*S, "volume"), 7, "AAPL.session.volume: expected "),
    ((*S, "high"), 1e6, "AAPL.session.high: expected "),
    ((*S, "low"), None, "AAPL.session.low: expected "),
    ((*S, "vwap"), 1.5, "AAPL.session.vwap: expected "),
    ((*M1, "quality"), 0.01, "AAPL.session.1m.quality: expected "),
    ((*S, "data", "5m", "quality"), 99.99, "AAPL.session.5m.quality: expected "),
]


@pytest.mark.parametrize(("steps", "value", "problem"), FIGURES)
def test_figures_are_compared_with_the_rows(
    exports: dict[str, dict[str, Any]], tmp_path: Path, steps: Steps, value: Any, problem: str
) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(exports["complete"]))
    assert load(file).problems() == []
    document = damaged(exports["complete"], steps, value)
    file.write_text(json.dumps(document))
    (found,) = load(file).problems()
    assert found.startswith(problem)
    assert found.endswith(f", got {value!r}")
    load(file).require_sound()  # a replay takes figures as they are


def test_figures_set_by_hand_or_of_a_part_are_not_compared(tmp_path: Path) -> None:
    system = make_system(tmp_path, minutes("A", "2024-07-03T09:30-04:00", 30, without=[3]), "2024-07-03")
    system.run(until="2024-07-03T10:00")
    gap = GapInfo("A", dt.datetime(2024, 7, 3, 9, 40), dt.datetime(2024, 7, 3, 9, 44), 5)
    system.session_data.set_gaps("A", "1m", [gap])
    system.register_consumer("derived", intervals=["5m"])
    system.register_consumer("past", parts=["historical"])
    for consumer in ("default", "derived", "past"):
        for form in ("json", "parquet"):
            path = system.export_status(tmp_path / f"{consumer}.{form}", consumer=consumer).path
            assert load(path).problems() == [], path


def test_nothing_makes_it_stumble(exports: dict[str, dict[str, Any]]) -> None:
    for value in (None, 1, "x", [], {}, [1], {"a": 1}):
        for path, _ in DAMAGES:
            document = damaged(exports["complete"], path, value)
            if document is not None:
                assert isinstance(check_export(document), list)
