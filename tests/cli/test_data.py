"""`mismartera data`: what it prints, its exit codes, and that it imports nothing heavy before it must."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mismartera.cli.main import main

LINES = "2025-07-02 09:31,1,2,0.5,1.5,100\n2025-07-02 09:32,1,x,0.5,1.5,100\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MISMARTERA_CATALOG", str(tmp_path / "cat"))
    (tmp_path / "bars.csv").write_text(LINES)
    (tmp_path / "both.csv").write_text("sym,time,o,h,l,c,v\nA,2025-07-02 09:31,1,2,0.5,1.5,100\n")
    (tmp_path / "header.csv").write_text("time,o,h,l,c,v\n")
    return tmp_path


def run(capsys, *words: str) -> tuple[int, str, str]:
    code = main(["data", *words])
    out, err = capsys.readouterr()
    return code, out, err


IMPORT = ("import", "bars.csv", "--format", "csv", "--stamp", "end", "--tz", "America/New_York")


def test_import_list_and_verify(folder, capsys):
    code, out, err = run(capsys, *IMPORT, "--symbol", "BRK.B")
    assert (code, err) == (0, "")
    told = dict(line.rsplit(maxsplit=1) for line in out.splitlines()[3:13])
    assert {key.strip(): value for key, value in told.items()}["high is not a number"] == "1"
    assert "quarantine/bars.csv-1m-" in out
    code, out, _ = run(capsys, "list", "--json")
    assert (code, json.loads(out)) == (
        0,
        [
            {
                "kind": "1m",
                "symbol": "BRK.B",
                "rows": 1,
                "days": 1,
                "first": "2025-07-02T13:30:00Z",
                "last": "2025-07-02T13:30:00Z",
            }
        ],
    )
    code, out, _ = run(capsys, "list")
    assert (code, "BRK.B" in out, "2025-07-02 13:30" in out) == (0, True, True)
    assert run(capsys, "verify") == (0, "1 partitions, 1 files, 1 rows: no problem\n", "")


def test_verify_exits_with_1_when_something_is_wrong(folder, capsys):
    run(capsys, *IMPORT, "--symbol", "A")
    [path] = (folder / "cat").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:100])
    code, out, _ = run(capsys, "verify")
    assert (code, f"{path}: not a whole Parquet file" in out, "1 problem" in out) == (1, True, True)
    code, out, err = run(capsys, "list")
    assert (code, out, err.startswith(f"error: {path}: not a whole Parquet file"), err.count("\n")) == (1, "", True, 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (IMPORT, "error: bars.csv: no symbol column, and no symbol given"),
        (
            ("import", "both.csv", "--format", "csv", "--symbol", "Q"),
            "error: both.csv: --symbol is 'Q', but the column 'sym' says 'A'\nhint: leave --symbol out",
        ),
        (
            ("import", "header.csv", "--format", "csv", "--symbol", "Q"),
            "error: header.csv: no rows, so nothing was imported\n",
        ),
        (
            (*IMPORT[:-1], "America/NewYork"),
            "error: time zone 'America/NewYork' does not exist; did you mean 'America/",
        ),
        (("import", "gone.csv", "--format", "csv"), "error: gone.csv: no such file or folder"),
        (("import", "bars.csv", "--format", "parquet"), "error: bars.csv: not a whole Parquet file"),
        (("import", "bars.csv", "--format", "csv", "--interval", "soon"), "error: interval 'soon' is not one"),
        (("list",), "error: no catalog at"),
        (("verify",), "error: no catalog at"),
        (("generate", "--start", "2025-07-04", "--end", "2025-07-06"), "error: no session of US_EQUITY"),
    ],
)
def test_errors_are_one_line_and_at_most_a_hint(folder, capsys, words, message):
    code, out, err = run(capsys, *words)
    assert (code, out, err.startswith(message), err.count("\n") <= 2) == (1, "", True, True), err


def test_files_without_rows_are_named(folder, capsys):
    (folder / "in").mkdir()
    for number in range(12):
        (folder / "in" / f"{number:02}.csv").write_text("time,o,h,l,c,v\n")
    (folder / "in" / "x.csv").write_text(LINES)
    code, out, _ = run(capsys, "import", "in", *IMPORT[2:], "--symbol", "A")
    lines = [line for line in out.splitlines() if line.startswith("no rows in")]
    assert (code, lines) == (
        0,
        [*(f"no rows in in/{number:02}.csv" for number in range(10)), "no rows in 2 files more"],
    )


def test_dates_of_another_order(folder, capsys):
    (folder / "day.csv").write_text("02/07/2025 13:30,1,2,0.5,1.5,100\n")
    words = ("import", "day.csv", "--format", "csv", "--symbol", "A")
    code, _, err = run(capsys, *words)
    assert (code, "--date-format" in err or "--columns" in err) == (1, True)
    assert run(capsys, *words, "--date-format", "%d/%m/%Y %H:%M")[0] == 0
    code, out, _ = run(capsys, "list", "--json")
    assert json.loads(out)[0]["first"] == "2025-07-02T13:30:00Z"
    code, _, err = run(capsys, *words, "--date-format", "%H")
    assert (code, err.count("\n")) == (1, 2)
    assert err.startswith("error: invalid date format: expected directives for day, month and year, got '%H'\nhint: ")


def test_generate(folder, capsys):
    words = (
        "generate",
        "--symbols",
        "A,BRK.B",
        "--start",
        "2025-07-02",
        "--end",
        "2025-07-03",
        "--daily",
        "--missing",
        "0",
    )
    code, out, err = run(capsys, *words, "--catalog", "made")
    assert (code, err, "1,200" in out) == (0, "", True)
    code, out, _ = run(capsys, "list", "--json", "--catalog", "made")
    assert [(row["kind"], row["symbol"], row["rows"]) for row in json.loads(out)] == [
        ("1m", "A", 600),
        ("1m", "BRK.B", 600),
        ("1d", "A", 2),
        ("1d", "BRK.B", 2),
    ]


@pytest.mark.parametrize("command", ["import", "list", "generate", "verify"])
def test_every_command_teaches_by_example(capsys, command):
    code, out, _ = run(capsys, command, "--help")
    assert (code, f"mismartera data {command}" in out, "Example" in out) == (0, True, True)


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom mismartera.cli.main import main\nmain(['data', 'import', '--help'])\n"
        "heavy = {'polars', 'pyarrow', 'numpy', 'duckdb', 'rich', 'exchange_calendars'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
