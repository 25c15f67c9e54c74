"""`mismartera backtest run` and its exports: when they are taken, what they are called, and that they replay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mismartera.cli.main import main
from mismartera.engine.data.catalog import Catalog
from mismartera.engine.export.formats.registry import FORMATS
from mismartera.engine.export.reading.loading import load_export
from mismartera.engine.export.reading.replay import replay
from tests.golden.small import minutes, table


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = [
        row
        for symbol in ("A", "B")
        for row in minutes(symbol, "2024-07-02T09:30-04:00", 390) + minutes(symbol, "2024-07-03T09:30-04:00", 210)
    ]
    Catalog(tmp_path / "cat").upsert("1m", table(rows))
    config = {
        "session_name": "Two days",
        "backtest_config": {"start_date": "2024-07-02", "end_date": "2024-07-03"},
        "session_data_config": {"symbols": ["A", "B"], "streams": ["1m"], "derived_intervals": ["5m"]},
    }
    (tmp_path / "session.json").write_text(json.dumps(config))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MISMARTERA_CATALOG", "cat")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["backtest", "run", "session.json", *words])
    return code, *capsys.readouterr()


def by_sequence(folder: Path) -> list[dict]:
    return sorted((load_export(path) for path in folder.iterdir()), key=lambda e: e["_metadata"]["sequence"])


@pytest.mark.parametrize("form", FORMATS)
def test_exports_are_taken_at_market_times_and_replay(
    folder: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    words = ["--export-every", "90m", "--export-dir", "out", "--format", form, "--consumer", "desk"]
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    size = sum(file.stat().st_size for file in (folder / "out").rglob("*") if file.is_file())
    assert out.splitlines()[-1] == f"9 exports, the first and the last of them complete: out ({size:,} bytes)"
    assert {path.name.endswith(f".{form}") for path in (folder / "out").iterdir()} == {True}
    exports = by_sequence(folder / "out")
    told = [export["_metadata"] for export in exports]
    assert [(meta["sequence"], meta["mode"], meta["generated_at"][:16], meta["reset"]) for meta in told] == [
        (1, "complete", "2024-07-02T09:30", False),
        (2, "delta", "2024-07-02T11:00", False),
        (3, "delta", "2024-07-02T12:30", False),
        (4, "delta", "2024-07-02T14:00", False),
        (5, "delta", "2024-07-02T15:30", False),
        (6, "delta", "2024-07-03T11:00", True),
        (7, "delta", "2024-07-03T12:30", False),
        (8, "delta", "2024-07-03T13:00", False),
        (9, "complete", "2024-07-03T13:00", False),
    ]
    assert {meta["consumer"] for meta in told} == {"desk"}
    chain = [path for path in (folder / "out").iterdir() if load_export(path)["_metadata"]["sequence"] < 9]
    assert replay(chain).to_json()["session_data"] == exports[-1]["session_data"]


def test_a_step_beyond_a_multiple_takes_its_export(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, *_ = run(capsys, "--export-every", "90s", "--export-dir", "out", "--until", "2024-07-02T09:36")
    assert code == 0
    times = [export["_metadata"]["generated_at"][11:16] for export in by_sequence(folder / "out")]
    # 09:31:30 is told at 09:32, 09:33 at once, 09:34:30 at 09:35, 09:36 at once; then the end, twice.
    assert times == ["09:30", "09:32", "09:33", "09:35", "09:36", "09:36", "09:36"]


def test_exports_go_to_the_status_folder_by_default(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--export-every", "1d")[0] == 0
    names = sorted(path.name for path in (folder / "data" / "status").iterdir())
    assert len(names) == 3
    assert all(name.startswith("system_status_Two_days_") for name in names)


def test_the_export_at_the_end_takes_any_form(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("end.parquet", "end.json.zst"):
        code, out, _ = run(capsys, "--until", "2024-07-02T10:00", "--export", name)
        assert (code, name in out) == (0, True)
        assert load_export(folder / name)["session_data"]["symbols"]["A"]["session"]["data"]["1m"]["count"] == 30


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--export-every", "5m", "--format", "xml"], 1, "export format 'xml' does not exist"),
        (["--export-every", "5m", "--format", "jsn"], 1, "did you mean 'json'"),
        (["--export-every", "soon"], 1, "interval 'soon'"),
        (["--export-every", "5m", "--export-dir", "session.json/out"], 1, "exports cannot be written there"),
        (["--export-every", "5m", "--consumer", ""], 1, "consumer name '' is none"),
        (["--export-every", "5m", "--format", ""], 1, "export format '' does not exist"),
        (["--export-dir", "out"], 2, "--export-dir is for the exports of --export-every"),
        (["--format", "json"], 2, "--format is for the exports of --export-every"),
        (["--consumer", "desk"], 2, "--consumer is for the exports of --export-every"),
        (["--export", "state.xml"], 1, "json, json.gz, json.zst, arrow, parquet"),
    ],
)
def test_bad_input_is_told_before_the_run(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    found, out, err = run(capsys, *words)
    assert (found, out) == (code, "")
    assert said in err


def test_a_failed_export_ends_the_run(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    calls = iter(range(100))

    def full(_: object) -> None:
        if next(calls) >= 4:  # a file and its folder are synced for each export
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    code, out, err = run(capsys, "--export-every", "30m", "--export-dir", "out")
    assert (code, out) == (1, "")
    assert "No space left" in err
    assert [export["_metadata"]["sequence"] for export in by_sequence(folder / "out")] == [1, 2]
