"""Input that cannot be used: one line that says what is wrong, at most a hint, an exit code, and nothing changed."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import content, run, write_config
from tests.contract import load_contract

DAYS = ("2025-07-02", "2025-07-03")
STUDY = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Momentum:
    seen: int = 0
    def __call__(self, context):
        self.seen += 1
        if self.seen > 1:
            self.helper()
    def helper(self):
        raise ZeroDivisionError("no\\nlength")

class Demanding:
    def __init__(self, length):
        pass

def counting(context):
    context.record("bars", context.new_bars().height)

NUMBER = 5
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "cat"
    words = ("--symbols", "AAPL,BRK.B,MSFT", "--start", "2025-06-30", "--end", "2025-07-03", "--missing", 0)
    assert run("data", "generate", *words, "--catalog", folder).code == 0
    return folder


@pytest.fixture
def folder(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a catalog ``cat``, a configuration ``s.json`` and analyses in ``study.py``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MISMARTERA_CATALOG", "cat")
    shutil.copytree(made, tmp_path / "cat")
    write_config(tmp_path / "s.json", *DAYS, ["AAPL", "BRK.B"])
    (tmp_path / "study.py").write_text(STUDY)
    return tmp_path


def refused(*words: object, code: int = 1, files: tuple[str, ...] = ()) -> list[str]:
    """Run what must fail, changing nothing in the working folder but `files`; return its lines."""
    before = content(Path())
    outcome = run(*words)
    after = content(Path())
    assert {name: data for name, data in after.items() if name not in files} == before
    assert outcome.code == code, outcome
    assert outcome.out == ""
    assert outcome.errors[0].startswith("error: ")
    assert len(outcome.errors) <= 2
    assert all(line.startswith("hint: ") for line in outcome.errors[1:])
    return outcome.errors


def test_no_catalog(folder: Path) -> None:
    lines = refused("backtest", "run", "s.json", "--catalog", "nowhere", "--export", "out.json")
    assert lines[0] == "error: no catalog at nowhere: the folder does not exist"
    assert "mismartera data import" in lines[1]
    (folder / "bare").mkdir()
    assert refused("backtest", "run", "s.json", "--catalog", "bare")[0].endswith("at bare: the folder is empty")
    assert "'s.json' is a file" in refused("backtest", "run", "s.json", "--catalog", "s.json", code=2)[0]


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (
            ("2025-07-03", "2025-07-02"),
            'w.json: backtest_config.end_date: "2025-07-02" is not allowed; expected start_date, 2025-07-03, or a '
            "later day",
        ),
        (
            ("2025-07-04", "2025-07-06"),
            "window 2025-07-04 to 2025-07-06 holds no session of US_EQUITY (XNYS): previous session is 2025-07-03, "
            "next session is 2025-07-07",
        ),
        (
            ("2024-07-01", "2024-07-05"),
            "catalog cat holds no 1m bars from 2024-07-01 to 2024-07-05; it holds some from 2025-06-30 to 2025-07-03",
        ),
    ],
    ids=["end before start", "holidays", "days without data"],
)
def test_a_window_without_anything(folder: Path, window: tuple[str, str], message: str) -> None:
    write_config(folder / "w.json", *window, ["AAPL"])
    assert refused("backtest", "run", "w.json", "--export", "out.json")[0] == f"error: {message}"


def test_an_unknown_symbol_names_the_nearest_and_all(folder: Path) -> None:
    write_config(folder / "w.json", *DAYS, ["AAPL", "MSTF"])
    assert refused("backtest", "run", "w.json") == [
        "error: symbol 'MSTF' does not exist; did you mean 'MSFT'? (available: AAPL, BRK.B, MSFT)",
        "hint: import its bars into cat, or take it out of session_data_config.symbols",
    ]


def test_a_catalog_without_the_streamed_interval(folder: Path) -> None:
    write_config(folder / "w.json", *DAYS, ["AAPL"], streams=["5m"], derived_intervals=["15m"])
    assert refused("backtest", "run", "w.json")[0] == "error: catalog cat holds no 5m bars; it holds 1m"


@pytest.mark.parametrize("damage", ["cut", "scratched", "empty"])
def test_a_damaged_partition(folder: Path, damage: str) -> None:
    path = folder / "cat" / "bars" / "interval=1m" / "date=2025-07-03" / "part-0.parquet"
    data = path.read_bytes()
    damaged = {"cut": data[:3000], "scratched": data[:500] + b"x" * 2000 + data[2500:], "empty": b""}
    path.write_bytes(damaged[damage])
    lines = refused("backtest", "run", "s.json", "--export", "out.json")
    problem = "damaged: column" if damage == "scratched" else "not a whole Parquet file"
    assert lines[0].startswith(f"error: {path.relative_to(folder)}: {problem}")
    assert lines[1] == (
        "hint: delete the file and import its source again; 'mismartera data verify' finds every damaged file"
    )
    verified = run("data", "verify")
    assert (verified.code, verified.errors) == (1, [])
    assert verified.out.endswith(": 1 problem\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"session_name":', "w.json: not JSON at line 1, column 17: unexpected end of data"),
        ("[]", "w.json: top level"),
        (None, "w.json: no such file; 'mismartera config init' writes one to start from"),
    ],
)
def test_a_configuration_that_is_none(folder: Path, text: str | None, message: str) -> None:
    if text is not None:
        (folder / "w.json").write_text(text)
    assert refused("backtest", "run", "w.json")[0].startswith(f"error: {message}")


def test_a_configuration_with_an_unknown_field(folder: Path) -> None:
    write_config(folder / "w.json", *DAYS, ["AAPL"], derived_interval=[5])
    assert refused("backtest", "run", "w.json")[0] == (
        "error: w.json: session_data_config.derived_interval: unknown field; did you mean derived_intervals? allowed "
        "here: derived_intervals, extended_hours, historical, quality, streams, symbols"
    )


def test_live_mode(folder: Path) -> None:
    write_config(folder / "w.json", *DAYS, ["AAPL"], mode="live", backtest_config=None)
    assert refused("backtest", "run", "w.json") == [
        "error: mode is 'live', and this version has no live feed",
        "hint: set mode to 'backtest', or feed a SessionData with append_bars",
    ]


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        (
            "2025-07-01T11:30",
            "until 2025-07-01T11:30:00-04:00 is not within the run: expected a time from 2025-07-02T0",
        ),
        (
            "2025-07-03T13:01",
            "until 2025-07-03T13:01:00-04:00 is not within the run: expected a time from 2025-07-02T0",
        ),
        ("2025-07-02", "time '2025-07-02' is not one: expected a time at the exchange (America/New_York) such as"),
        ("2025-07-02T25:00", "time '2025-07-02T25:00' is not one (hour must be in 0..23): expected a time at the"),
        ("noon", "time 'noon' is not one: expected a time at the exchange (America/New_York) such as"),
        ("", "time '' is not one"),
        (
            "2025-03-09T02:30",
            "time '2025-03-09T02:30' does not exist in America/New_York, where the clocks skip it; did",
        ),
    ],
)
def test_until(folder: Path, moment: str, message: str) -> None:
    lines = refused("backtest", "run", "s.json", "--until", moment, "--export", "out.json")
    assert lines[0].startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("out.csv", "export format 'csv' does not exist (available: json, json.gz, json.zst, arrow, parquet)"),
        ("out.json.bz2", "export format 'json.bz2' does not exist"),
        ("s.json/out.json", "s.json/out.json: the export cannot be written: {folder}/s.json is not a folder"),
        ("s.json/deep/out.json", "s.json/deep/out.json: the export cannot be written: {folder}/s.json is not a folder"),
        ("/dev/full/out.json", "/dev/full/out.json: the export cannot be written: /dev/full is not a folder"),
    ],
)
def test_an_export_nobody_can_write_is_told_before_the_run(folder: Path, target: str, message: str) -> None:
    lines = refused("backtest", "run", "s.json", "--export", target)
    assert lines[0].startswith(f"error: {message.format(folder=folder)}")


def test_a_folder_without_the_right_to_write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder and access(path, mode))
    lines = refused("backtest", "run", "s.json", "--export", "out.json")
    assert lines[0] == f"error: out.json: the export cannot be written: {folder} is not writable"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("cat", "it is a folder, and an export to json is a file"),
        ("some.json", "it is a folder, and an export to json is a file"),
        ("some.parquet", "what is there is not an export, and is not replaced"),
        ("bars.parquet", "what is there is not an export, and is not replaced"),
    ],
)
def test_what_is_no_export_is_not_replaced(folder: Path, target: str, reason: str) -> None:
    for name in ("some.json", "some.parquet"):
        (folder / name).mkdir()
        (folder / name / "mine.txt").write_text("mine")
    (folder / "bars.parquet").write_text("mine")
    lines = refused("backtest", "run", "s.json", "--export", target)
    assert lines[0] == f"error: {target}: the export cannot be written: {reason}"


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("name", ["out.json", "out.json.gz", "out.json.zst", "out.parquet", "out.arrow"])
def test_an_export_into_a_full_disk_leaves_what_was_there(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("backtest", "run", "s.json", "--until", "2025-07-02T09:40", "--export", name)
    assert run(*words).code == 0
    before = content(folder)
    assert any(path.startswith(name) for path in before)
    with monkeypatch.context() as patch:
        full_disk(patch)
        outcome = run(*words)
    assert (outcome.code, content(folder)) == (1, before)
    assert outcome.errors[0].startswith(f"error: {name}: the export could not be written: No space left on device")
    assert len(outcome.errors) == 2
    assert run(*words).code == 0


@pytest.mark.parametrize("command", ["import", "generate"])
def test_a_catalog_on_a_full_disk_stays_as_it_was(folder: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bars.csv").write_text("2025-07-08 13:30,1,2,1,2,100\n2025-07-09 13:30,1,2,1,2,100\n")
    words, rows = {
        "import": (("data", "import", "bars.csv", "--format", "csv", "--symbol", "NEW"), "4,142"),
        "generate": (
            ("data", "generate", "--symbols", 2, "--start", "2025-07-08", "--end", "2025-07-09", "--missing", 0),
            "5,700",
        ),
    }[command]
    with monkeypatch.context() as patch:
        full_disk(patch)
        lines = refused(*words)
    assert lines[0].startswith("error: cat: cannot be written: No space left on device")
    assert lines[1].startswith("hint: make room on the disk and run the same command again")
    assert run("data", "verify").code == 0
    assert run(*words).code == 0
    assert run("data", "verify").out == f"6 partitions, 6 files, {rows} rows: no problem\n"


def test_text_where_prices_belong(folder: Path) -> None:
    rows = ["2025-07-08 13:30,1,2,1,2,100", "2025-07-08 13:31,1,n/a,1,2,100"]
    (folder / "one.csv").write_text("\n".join(rows))
    told = run("data", "import", "one.csv", "--format", "csv", "--symbol", "NEW")
    figures = dict(line.strip().rsplit(maxsplit=1) for line in told.out.splitlines() if line.strip()[-1:].isdigit())
    assert (told.code, told.errors) == (0, [])
    assert {name: figures[name] for name in ("imported", "quarantined", "high is not a number")} == {
        "imported": "1",
        "quarantined": "1",
        "high is not a number": "1",
    }
    [kept] = (folder / "cat" / "quarantine").iterdir()
    assert kept.read_text().splitlines() == [
        "source,row,reason,symbol,timestamp,open,high,low,close,volume",
        "one.csv,2,high is not a number: 'n/a',NEW,2025-07-08 13:31,1,n/a,1,2,100",
    ]
    (folder / "all.csv").write_text(rows[1])
    assert refused("data", "import", "all.csv", "--format", "csv", "--symbol", "NEW")[0].startswith("error: all.csv: ")


def test_history_that_cannot_be_derived_is_left_out_with_a_warning(folder: Path) -> None:
    history = {"data": [{"interval": "1s", "trailing_days": 1}, {"interval": "1m", "trailing_days": 1}]}
    write_config(folder / "w.json", *DAYS, ["AAPL"], historical=history)
    outcome = run("backtest", "run", "w.json", "--export", "out.json")
    assert (outcome.code, outcome.errors) == (
        0,
        ["WARNING: history of 1s is left out: the catalog cat holds 1m, from which it cannot be derived"],
    )
    export = json.loads((folder / "out.json").read_text())
    assert list(export["session_data"]["symbols"]["AAPL"]["historical"]["data"]) == ["1m"]
    assert load_contract().problems(export) == []


@pytest.mark.parametrize(
    ("analysis", "code", "lines"),
    [
        (
            "stdy.py:Momentum",
            1,
            ["error: analysis file stdy.py does not exist; did you mean study.py?", "hint: expected FILE.py:NAME"],
        ),
        (
            "study.py:Momentm",
            1,
            [
                "error: analysis 'Momentm' does not exist; did you mean 'Momentum'? (available: Demanding, Momentum, "
                "counting, dataclass)",
                "hint: those are what study.py has; expected FILE.py:NAME",
            ],
        ),
        (
            "study.py",
            2,
            ["error: invalid value for '--analysis': 'study.py' names no analysis: expected", "hint: 'mis"],
        ),
        ("study.py:NUMBER", 1, ["error: analysis 5 cannot be called: expected a function or a class with __call__"]),
        ("study.py:counting@soon", 1, ["error: interval 'soon' is not one: expected a positive whole number of"]),
        (
            "study.py:Demanding",
            1,
            [
                "error: analysis Demanding of study.py cannot be made: TypeError: Demanding.__init__() missing",
                "hint: -",
            ],
        ),
        (
            "broken.py:f",
            1,
            [
                "error: analysis file broken.py cannot be imported: NameError: name 'undefined' is not defined "
                "(broken.py, line 2)",
                "hint: --verbose shows the traceback",
            ],
        ),
        (
            "study.py:Momentum",
            1,
            [
                "error: analysis Momentum failed at 2025-07-02T09:32:00-04:00: ZeroDivisionError: no length "
                "(study.py, line 13)",
                "hint: --verbose shows the traceback; --on-error count counts the errors of analyses and goes on",
            ],
        ),
    ],
)
def test_analyses_that_cannot_run(folder: Path, analysis: str, code: int, lines: list[str]) -> None:
    (folder / "broken.py").write_text("import json\nf = undefined\n")
    told = refused("backtest", "run", "s.json", "--export", "out.json", "--analysis", analysis, code=code)
    assert [line.startswith(start) for line, start in zip(told, lines, strict=True)] == [True] * len(lines), told


def test_verbose_shows_the_traceback_of_the_analysis(folder: Path) -> None:
    outcome = run("backtest", "run", "s.json", "--analysis", "study.py:Momentum", "--verbose")
    text = "\n".join(outcome.errors)
    assert outcome.code == 1
    assert f'File "{folder}/study.py", line 13, in helper' in text
    assert 'raise ZeroDivisionError("no\\nlength")' in text
    assert outcome.errors[-2].startswith("error: analysis Momentum failed at")


def test_errors_of_an_analysis_are_counted_on_demand(folder: Path) -> None:
    words = ("--analysis", "study.py:Momentum", "--analysis", "study.py:counting@5m", "--on-error", "count")
    outcome = run("backtest", "run", "s.json", *words, "--export", "out.json")
    assert (outcome.code, outcome.errors) == (
        0,
        [
            "WARNING: analysis Momentum failed at 2025-07-02T09:32:00-04:00: ZeroDivisionError: no length; its errors "
            "are counted, and the run goes on"
        ],
    )
    cells: list[Any] = [
        line.split() for line in outcome.out.splitlines() if line.startswith((" Momentum", " counting"))
    ]
    assert [(row[0], row[1], row[2], " ".join(row[4:])) for row in cells] == [
        ("Momentum", "600", "599", "none"),
        ("counting", "120", "0", "bars 10"),
    ]
    assert "last error of Momentum: ZeroDivisionError: no length\n" in outcome.out
    assert (folder / "out.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run",), "missing argument 'CONFIG'."),
        (("run", "s.json", "--on-error", "explode"), "invalid value for '--on-error': 'explode' is not one of"),
        (("run", "s.json", "--untl", "x"), "no such option '--untl'. Did you mean '--until'?"),
        (("ran",), "no such command 'ran'. Did you mean 'run'?"),
    ],
)
def test_wrong_usage(folder: Path, words: tuple[str, ...], message: str) -> None:
    assert refused("backtest", *words, code=2)[0].startswith(f"error: {message}")
