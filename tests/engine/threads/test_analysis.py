"""Analyses: when they are called, and what a context shows them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mismartera.engine.threads.analysis_context import AnalysisContext
from mismartera.schemas.errors import DataError, StateError, UnknownNameError
from tests.golden.small import make_system, minutes


def calls(tmp_path: Path, every: str | None, start: str, rows: Any, **more: Any) -> list[str]:
    system = make_system(tmp_path, rows, start, **more)
    seen: list[str] = []
    system.add_analysis(lambda context: seen.append(context.now.strftime("%H:%M")), every=every, name="watch")
    system.run()
    assert system.analysis_engine.get_statistics()["watch"]["calls"] == len(seen)
    return seen


EARLY = minutes("A", "2024-07-03T09:30-04:00", 210)
LUNCH = minutes("700", "2024-12-23T09:30+08:00", 3)


@pytest.mark.parametrize(
    ("every", "count", "last"),
    [(None, 210, "13:00"), ("1m", 210, "13:00"), ("5m", 42, "13:00"), ("1h", 4, "13:00"), ("1d", 1, "13:00")],
)
def test_an_analysis_is_called_when_its_bars_end_early_close(
    tmp_path: Path, every: str | None, count: int, last: str
) -> None:
    seen = calls(tmp_path, every, "2024-07-03", EARLY)
    assert (len(seen), seen[-1]) == (count, last)


def test_hours_end_at_the_lunch_break_too(tmp_path: Path) -> None:
    seen = calls(tmp_path, "1h", "2024-12-23", LUNCH, group="HK_EQUITY")
    assert seen == ["10:30", "11:30", "12:00", "14:00", "15:00", "16:00"]


def test_buckets_that_are_cut_count(tmp_path: Path) -> None:
    assert calls(tmp_path, "100m", "2024-07-03", EARLY, derived=["100m"]) == ["11:10", "12:50", "13:00"]


def test_an_analysis_is_called_where_no_bar_came(tmp_path: Path) -> None:
    assert len(calls(tmp_path, None, "2024-07-03", minutes("A", "2024-07-03T11:00-04:00", 1))) == 210


def test_the_cross_section_is_in_order_of_time_then_registration(tmp_path: Path) -> None:
    rows = [
        row for name in "ABC" for row in minutes(name, "2024-07-03T09:30-04:00", 12, without=[3] if name == "A" else [])
    ]
    system = make_system(tmp_path, rows, "2024-07-03", symbols=["C", "A", "B"])
    every_step: list[list[tuple[str, str]]] = []
    fives: list[pl.DataFrame] = []

    def keys(frame: pl.DataFrame) -> list[tuple[str, str]]:
        stamps = frame["timestamp"].dt.convert_time_zone("America/New_York").dt.to_string("%H:%M")
        return list(zip(stamps, frame["symbol"].cast(pl.String), strict=True))

    system.add_analysis(lambda context: every_step.append(keys(context.new_bars())), name="steps")
    system.add_analysis(lambda context: fives.append(context.new_bars("1m")), every="5m", name="fives")
    system.run()
    assert every_step[:4] == [
        [("09:30", "C"), ("09:30", "A"), ("09:30", "B")],
        [("09:31", "C"), ("09:31", "A"), ("09:31", "B")],
        [("09:32", "C"), ("09:32", "A"), ("09:32", "B")],
        [("09:33", "C"), ("09:33", "B")],
    ]
    assert every_step[12:] == [[]] * 198
    assert keys(fives[0]) == [key for step in every_step[:5] for key in step]
    assert keys(fives[1]) == [key for step in every_step[5:10] for key in step]
    assert fives[0]["symbol"].dtype == pl.Enum(["C", "A", "B"])


def test_new_bars_of_a_derived_interval(tmp_path: Path) -> None:
    system = make_system(tmp_path, EARLY, "2024-07-03")
    seen: list[int] = []
    system.add_analysis(lambda context: seen.append(context.new_bars("5m").height), name="fives")
    system.run()
    assert seen[:11] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]
    assert sum(seen) == 42


def buffers(frame: pl.DataFrame, name: str) -> set[int]:
    return {chunk.to_arrow().buffers()[1].address for chunk in frame[name].get_chunks()}


def test_a_window_is_a_view_of_the_engines_memory(tmp_path: Path) -> None:
    rows = minutes("A", "2024-07-02T09:30-04:00", 390) + minutes("A", "2024-07-03T09:30-04:00", 210)
    system = make_system(tmp_path, rows, "2024-07-03", history=[("1m", 1)])
    checked: list[int] = []

    def look(context: AnalysisContext) -> None:
        window = context.window("A", bars=500)
        assert window["timestamp"].is_sorted()
        assert window.height == min(500, 391 + len(checked))
        day = context.snapshot.history.intervals["1m"].days[0].segment
        held = {segment.column("close").ctypes.data for segment in (day, context.snapshot.logs["1m"].segments[0])}
        for address in buffers(window, "close"):
            assert any(base <= address < base + 390 * 8 for base in held)
        checked.append(window.height)

    system.add_analysis(look)
    system.run()
    assert checked[0] == 391
    assert checked[-1] == 500


def test_a_context_shows_the_present_and_names_what_it_lacks(tmp_path: Path) -> None:
    system = make_system(tmp_path, minutes("A", "2024-07-03T09:30-04:00", 210, without=[0]), "2024-07-03")
    messages: list[str] = []

    def look(context: AnalysisContext) -> None:
        if messages:
            return
        assert context.now == dt.datetime.fromisoformat("2024-07-03T09:31-04:00")
        assert context.symbols == ("A",)
        assert context.quality("A") == 0.0
        assert context.quality("A", "5m") is None
        assert [gap.bar_count for gap in context.gaps("A")] == [1]
        assert context.window("A").height == 0
        for call in (
            lambda: context.window("B"),
            lambda: context.window("A", "7m"),
            lambda: context.new_bars("7m"),
            lambda: context.indicator("mean", "A"),
        ):
            with pytest.raises(UnknownNameError) as caught:
                call()
            messages.append(str(caught.value))

    system.add_analysis(look)
    system.run()
    assert messages == [
        "symbol 'B' does not exist (available: A)",
        "interval '7m' does not exist (available: 1m, 5m)",
        "interval '7m' does not exist (available: 1m, 5m)",
        "indicator 'mean' does not exist (there is no indicator at all)",
    ]


class Recorder:
    def __call__(self, context: AnalysisContext) -> None:
        if context.now.minute == 0:
            context.record("close", context.window("A", bars=1)["close"][0])
            context.record("count", 1)


def test_what_is_recorded_can_be_read(tmp_path: Path) -> None:
    system = make_system(tmp_path, EARLY, "2024-07-03")
    system.add_analysis(Recorder)
    system.add_analysis(lambda context: context.record("x", 2.0), every="1d", name="other")
    system.run()
    records = system.analysis_engine.get_records("Recorder")
    assert records.schema == {
        "analysis": pl.String,
        "name": pl.String,
        "timestamp": pl.Datetime("us", "UTC"),
        "value": pl.Float64,
    }
    assert records.filter(name="close")["value"].to_list() == [39.25, 99.25, 159.25, 219.25]
    assert records["timestamp"][0] == dt.datetime(2024, 7, 3, 14, tzinfo=dt.UTC)
    assert system.analysis_engine.get_records().height == 9
    assert system.analysis_engine.get_records("nobody").height == 0
    figures = system.analysis_engine.get_statistics()["Recorder"]
    assert figures["latest"] == {"close": 219.25, "count": 1.0}
    assert (figures["calls"], figures["errors"]) == (210, 0)


@pytest.mark.parametrize("name", [5, None, "", "\ud800", "two\nlines"])
def test_a_name_is_a_text_that_can_be_read(tmp_path: Path, name: Any) -> None:
    system = make_system(tmp_path, EARLY, "2024-07-03")
    system.add_analysis(lambda context: context.record(name, 1.0))
    with pytest.raises(DataError, match="expected a name for the figure, a text that can be read"):
        system.run()
    if name is not None:
        with pytest.raises(DataError, match="expected a name for the analysis, a text that can be read"):
            make_system(tmp_path, [], "2024-07-03", symbols=["A"]).add_analysis(Recorder, name=name)


def test_an_error_of_any_text_can_be_exported(tmp_path: Path) -> None:
    def fail(_: AnalysisContext) -> None:
        raise ValueError("half a pair: \ud800")

    system = make_system(tmp_path, EARLY, "2024-07-03", on_error="count")
    system.add_analysis(fail)
    system.run("2024-07-03T09:32")
    told = system.system_info(debug=True)["threads"]["analysis_engine"]["performance"]["fail"]
    assert told["last_error"] == "ValueError: half a pair: \\ud800"


def test_two_analyses_need_two_names_and_both_can_be_called(tmp_path: Path) -> None:
    system = make_system(tmp_path, EARLY, "2024-07-03")
    system.add_analysis(Recorder)
    with pytest.raises(StateError, match="named 'Recorder' exists already"):
        system.add_analysis(Recorder())
    with pytest.raises(StateError, match="cannot be called"):
        system.add_analysis(7)  # type: ignore[arg-type]
