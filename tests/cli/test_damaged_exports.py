"""Whatever single value of an export is damaged: showing and replaying it work, or tell in one line what is wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mismartera.cli import export_report
from mismartera.cli.main import main
from mismartera.engine.export.reading.check import check_export, require_sound
from mismartera.engine.export.reading.loading import load
from mismartera.engine.export.reading.replay import Replay
from mismartera.schemas.errors import ChainError, NotAnExportError
from tests.golden.small import make_system, minutes

Steps = tuple[Any, ...]
GONE = object()
VALUES = [GONE, None, True, -1, 3.5, "x", "0001-01-01T00:00:00+00:00", [], {}, [None]]
SESSION = ("session_data", "symbols", "A", "session")
M1 = (*SESSION, "data", "1m")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """A complete export and two deltas of a symbol with gaps and history; few rows."""
    rows = minutes("A", "2024-07-02T09:30-04:00", 2) + minutes("A", "2024-07-03T09:30-04:00", 9, without=[3, 7])
    system = make_system(tmp_path_factory.mktemp("run"), rows, "2024-07-03", history=[("1m", 1)])
    taken: list[dict[str, Any]] = []

    def take(_: int) -> None:
        if len(taken) < 3:
            taken.append(system.system_info(complete=not taken))

    system.hooks.stepped.append(take)
    system.run(until="2024-07-03T09:40")
    assert [check_export(export) for export in taken] == [[], [], []]
    return taken


def places(value: Any, steps: Steps = ()) -> Iterator[Steps]:
    """Every place in a document; of lists, the first and the last."""
    if steps:
        yield steps
    if isinstance(value, dict):
        for name in value:
            yield from places(value[name], (*steps, name))
    elif isinstance(value, list):
        for place in sorted({0, len(value) - 1} if value else ()):
            yield from places(value[place], (*steps, place))


def damaged(document: dict[str, Any], steps: Steps, value: Any) -> dict[str, Any]:
    made: Any = copy.copy(document)
    place = made
    for step in steps[:-1]:
        place[step] = copy.copy(place[step])
        place = place[step]
    if value is GONE:
        del place[steps[-1]]
    else:
        place[steps[-1]] = value
    return dict(made)


def replayed(chain: list[dict[str, Any]]) -> bytes:
    state = Replay()
    for export in chain:
        state.apply(export, "f.json")
    return b"".join(state.pieces())


@pytest.mark.parametrize("number", [0, 1, 2])
def test_no_damage_of_one_value_makes_show_or_replay_stumble(
    chain: list[dict[str, Any]], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_report, "say", str)
    monkeypatch.setattr(export_report, "table", lambda *parts: str(parts))  # drawing them is slow, and of no kind
    told: set[str] = set()
    for steps in places(chain[number]):
        for value in VALUES:
            export = damaged(chain[number], steps, value)
            try:
                require_sound(export, "f.json")
                export_report.show_export(Path("f.json"), export, interval=None, limit=1)
            except NotAnExportError as error:
                told.add(str(error))
            with suppress(NotAnExportError, ChainError):
                replayed([*chain[:number], export, *chain[number + 1 :]])
    assert len(told) > 100
    assert all(text.startswith("f.json is no export: ") and "\n" not in text for text in told)


DAMAGES: list[tuple[int, Steps, Any, str]] = [
    (0, (*SESSION, "vwap"), "abc", "A.session.vwap: expected a number or null, got 'abc'"),
    (0, (*SESSION, "volume"), -5, "A.session.volume: expected 0 or more, or null, got -5"),
    (0, ("_metadata", "sequence"), True, "_metadata.sequence: expected 1, 2, 3 …, got True"),
    (0, (*M1, "gaps"), None, "A.session.1m.gaps: expected an object, got None"),
    (2, (*M1, "gaps", "gap_count"), GONE, "A.session.1m.gaps.gap_count: expected 0 or more, got nothing"),
    (2, (*M1, "gaps", "missing_bars"), [], "A.session.1m.gaps.missing_bars: expected 0 or more, got []"),
    (2, (*M1, "gaps", "ranges"), "", "A.session.1m.gaps.ranges: expected a list, got ''"),
    (2, (*M1, "quality"), True, "A.session.1m.quality: expected percent or null, got True"),
]


@pytest.mark.parametrize(("number", "steps", "value", "problem"), DAMAGES)
def test_what_the_contract_lets_pass_and_nobody_can_use_is_told_in_one_line(
    chain: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    number: int, steps: Steps, value: Any, problem: str,
) -> None:  # fmt: skip
    exports = [*chain[:number], damaged(chain[number], steps, value)]
    assert check_export(exports[-1]) == []
    files = [tmp_path / f"{place}.json" for place in range(len(exports))]
    for file, export in zip(files, exports, strict=True):
        file.write_text(json.dumps(export))
    expected = f"error: {files[-1]} is no export: {problem}\n"
    assert main(["export", "show", str(files[-1])]) == 1
    assert capsys.readouterr().err == expected
    code = main(["export", "replay", *map(str, files), "-o", str(tmp_path / "merged.json")])
    told = capsys.readouterr().err
    assert (code, told.count("\n"), told.startswith(f"error: {files[-1]} is no export: ")) == (1, 1, True)
    assert not (tmp_path / "merged.json").exists()


@pytest.mark.parametrize("session", [3, {}, {"open": "x", "close": "y"}, {"open": "2024-07-03T09:30:00"}])
def test_a_session_that_cannot_be_drawn_is_told_by_show_alone(
    chain: list[dict[str, Any]], session: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    export = damaged(chain[0], ("time_manager", "current_session"), session)
    (tmp_path / "a.json").write_text(json.dumps(export))
    code = main(["export", "show", str(tmp_path / "a.json")])
    assert (code, "expected the session's open, breaks, close" in capsys.readouterr().err) == (
        (1, True) if session else (0, False)
    )
    assert replayed([export])


def test_an_interval_the_engine_has_not_is_shown_without_a_timeline(
    chain: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    weekly = {"count": 0, "total_count": 0, "generated": False, "quality": None}
    (tmp_path / "a.json").write_text(json.dumps(damaged(chain[0], (*SESSION, "data", "1w"), weekly)))
    assert main(["export", "show", str(tmp_path / "a.json")]) == 0
    assert "1w" in capsys.readouterr().out


@pytest.mark.parametrize("depth", [300, 800])
@pytest.mark.parametrize("steps", [("performance_metrics", "x"), ("_metadata", "generated_at"), ("_metadata",)])
def test_nesting_beyond_all_measure_is_told(
    chain: list[dict[str, Any]], depth: int, steps: Steps, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    file = tmp_path / "a.json"
    file.write_text(json.dumps(damaged(chain[0], steps, value)))
    for words in (["show", str(file)], ["replay", str(file), "-o", str(tmp_path / "b.json")]):
        assert main(["export", *words]) == 1
        assert capsys.readouterr().err.startswith(f"error: {file} is no export: ")
    assert main(["export", "check", str(file)]) in (0, 1)


@pytest.mark.parametrize("value", [None, "x", [], {}, 3])
def test_a_folder_whose_metadata_is_damaged_is_told(tmp_path: Path, value: Any) -> None:
    system = make_system(tmp_path, minutes("A", "2024-07-03T09:30-04:00", 3), "2024-07-03")
    system.run()
    path = system.export_status(tmp_path / "a.parquet").path
    metadata = json.loads((path / "metadata.json").read_bytes())
    for steps in [*((name,) for name in metadata if name != "tables"), ("system_manager", "timezone")]:
        (path / "metadata.json").write_text(json.dumps(damaged(metadata, steps, value)))
        told = ""
        try:
            load(path).require_sound()
        except NotAnExportError as error:
            told = str(error)
        assert "\n" not in told
