"""`mismartera export`: what it shows, checks and merges, and what it says when it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mismartera.cli.main import main
from mismartera.cli.timeline import Day, timeline
from mismartera.engine.export.reading.loading import load_export
from mismartera.engine.system.export_schedule import ExportSchedule
from tests.contract import load_contract
from tests.golden.small import make_system, minutes


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main(["export", *map(str, words)])
    return code, *capsys.readouterr()


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("chain")
    rows = minutes("AAPL", "2024-07-02T09:30-04:00", 390) + minutes("AAPL", "2024-07-03T09:30-04:00", 70, without=[7])
    rows += minutes("BRK.B", "2024-07-03T09:30-04:00", 25)
    system = make_system(folder, rows, "2024-07-03", history=[("1m", 1)])
    schedule = ExportSchedule(system, "15m", folder / "out")
    system.run(until="2024-07-03T10:30")
    schedule.finish()
    for form in ("json.zst", "arrow", "parquet"):
        system.export_status(folder / f"state.{form}")
    return schedule.paths


def test_show_summarizes_and_draws_the_session(chain: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "show", chain[-1])
    assert (code, err) == (0, "")
    for text in ("complete", "2024-07-03T10:30:00-04:00", "STOPPED, BACKTEST", "98.33", "41.66"):
        assert text in out
    cells = [line.split()[:8] for line in out.splitlines()]
    assert ["session", "1m", "2", "84", "84", "41.66", "2", "36"] in cells
    assert ["historical", "1m", "2", "390", "390", "0.00", "1", "390"] in cells
    drawn = out.splitlines()[-3:]
    assert drawn == [
        "      09:30 10:00       11:00       12:00",
        "AAPL  █▒██████████",
        "BRK.B █████·······",
    ]


def test_show_tells_the_same_of_every_form(chain: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = chain[0].parents[1]
    shown = [run(capsys, "show", folder / f"state.{form}") for form in ("json.zst", "arrow", "parquet")]
    assert {code for code, *_ in shown} == {0}
    bodies = {"\n".join(line for line in out.splitlines()[1:] if "sequence" not in line) for _, out, _ in shown}
    assert len(bodies) == 1


def test_show_of_a_delta_lists_its_gap_ranges(chain: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "show", chain[2])
    assert code == 0
    assert "3, applies to 2" in out
    cells = [line.split() for line in out.splitlines()]
    assert ["BRK.B", "1m", "09:55:00", "09:59:00", "5"] in cells
    assert "over the session" not in out


def test_show_takes_an_interval_and_a_limit(chain: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "show", chain[-1], "--interval", "5", "--limit", "1")
    assert code == 0
    assert "worst quality first (1 of 2)" in out
    assert out.splitlines()[-1] == "BRK.B █████·······"
    assert run(capsys, "show", chain[-1], "--limit", "0")[0] == 0
    code, _, err = run(capsys, "show", chain[-1], "--interval", "15m")
    assert (code, err) == (1, "error: interval '15m' does not exist; did you mean '5m'? (available: 1m, 5m)\n")


def test_a_timeline_knows_breaks_and_what_is_not_due() -> None:
    day = Day(((34_200, 43_200), (46_800, 57_600)), 48_600)  # 09:30 to 12:00 and 13:00 to 16:00, seen at 13:30
    there = [f"{hour:02d}:{minute:02d}:00" for hour in (9, 10, 11, 13) for minute in range(60) if minute != 7]
    assert list(timeline(day, 60, {"0700.HK": there, "5.HK": []}, width=60)) == [
        "        09:30    11:00 12:00 13:00 14:00 15:00",
        "0700.HK ███▒█████▒█████      ▒██",
        "5.HK    ···············      ···",
    ]
    assert list(timeline(day, 3600, {"X": ["09:30:00", "13:00:00"]}, width=10)) == ["  09:30 16:00", "X █··"]


def test_check_says_nothing_is_wrong(chain: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "check", *chain) == (0, f"{len(chain)} exports: no problem\n", "")
    assert run(capsys, "check", "--chain", *chain)[0] == 0
    assert run(capsys, "check", chain[0]) == (0, "1 export: no problem\n", "")


def test_check_prints_a_line_for_each_problem(
    chain: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = load_export(chain[-1])
    document["_metadata"]["version"] = "1.0"
    document["session_data"]["symbols"]["AAPL"]["session"]["data"]["1m"]["count"] = 3
    (tmp_path / "a.json").write_text(json.dumps(document))
    (tmp_path / "cut.json").write_bytes(chain[0].read_bytes()[:500])
    code, out, err = run(capsys, "check", tmp_path / "a.json", tmp_path / "cut.json", chain[0])
    lines = out.splitlines()
    assert (code, err, len(lines)) == (1, "", 4)
    assert lines[3] == f"{tmp_path / 'a.json'}: no checksum: damage cannot be ruled out"
    assert lines[0].startswith(f"{tmp_path / 'a.json'}: _metadata.version: '1.0'")
    assert lines[1] == f"{tmp_path / 'a.json'}: AAPL.session.1m: count 3, and 59 rows"
    assert lines[2].startswith(f"{tmp_path / 'cut.json'} is no export: it is not JSON, or cut off")
    code, out, _ = run(capsys, "check", "--chain", chain[0], chain[2])
    assert (code, "sequence 2 is missing" in out) == (1, True)


def test_replay_writes_the_complete_export_of_the_last_instant(
    chain: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "merged.json.gz"
    code, out, err = run(capsys, "replay", *chain[:-1], "-o", target)
    assert (code, out, err) == (0, f"{len(chain) - 1} exports merged, up to sequence {len(chain) - 1}: {target}\n", "")
    contract = load_contract()
    merged, complete = contract.load(str(target)), load_export(chain[-1])
    assert contract.problems(merged) == []
    assert contract.differences(contract.apply(None, merged), complete) == []
    assert merged["session_data"] == complete["session_data"]
    assert run(capsys, "check", target)[0] == 0


def test_replay_names_what_is_missing_or_foreign(
    chain: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "merged.json"
    code, out, err = run(capsys, "replay", chain[0], chain[1], chain[3], "-o", target)
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        f"error: {chain[3]}: expected sequence 3, found 4, which applies to 3: sequence 3 is missing",
        "hint: add what is missing, or begin with the next complete export",
    ]
    document = load_export(chain[1])
    document["_metadata"]["consumer"] = "desk"
    (tmp_path / "desk.json").write_text(json.dumps(document))
    code, _, err = run(capsys, "replay", chain[0], tmp_path / "desk.json", "-o", target)
    assert (code, "consumer 'desk', foreign to this chain of 'default'" in err) == (1, True)
    assert not target.exists()


@pytest.mark.parametrize("name", ["a.arrow", "a.txt", "a"])
def test_replay_writes_json_alone(
    chain: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code, _, err = run(capsys, "replay", chain[0], "-o", tmp_path / name)
    assert (code, "json.gz" in err) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "show", tmp_path / "absent.json")
    assert (code, err) == (
        1,
        f"error: {tmp_path / 'absent.json'} is no export: it cannot be read: No such file or directory\n",
    )
    (tmp_path / "half.json").write_text('{"_metadata": {}, "session_data": {}}')
    assert run(capsys, "show", tmp_path / "half.json")[0] == 1
    assert run(capsys, "check")[0] == 2
    assert run(capsys, "replay", "-o", "x.json")[0] == 2


def test_replay_and_export_replace_exports_alone(
    chain: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, merged = tmp_path / "first.json", tmp_path / "merged.json"
    first.write_bytes(chain[0].read_bytes())
    code, _, err = run(capsys, "replay", first, "-o", first)
    assert (code, "is one of the exports to merge" in err) == (2, True)
    merged.write_text('{"thesis": 1}')
    code, _, err = run(capsys, "replay", first, "-o", merged)
    assert (code, "not an export, and is not replaced" in err) == (1, True)
    assert merged.read_text() == '{"thesis": 1}'
    merged.write_bytes(b"")
    for _ in range(2):
        assert run(capsys, "replay", first, "-o", merged)[0] == 0


@pytest.mark.parametrize("command", ["show", "replay"])
def test_what_the_check_does_not_look_at_is_told_in_one_line(
    chain: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    document = load_export(chain[0])
    next(iter(document["session_data"]["symbols"].values()))["session"]["data"]["1m"]["gaps"] = None
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(document))
    more = ("-o", tmp_path / "merged.json") if command == "replay" else ()
    code, _, err = run(capsys, command, broken, *more)
    assert (code, err.count("\n"), f"{broken} is no export: " in err) == (1, 1, True)
