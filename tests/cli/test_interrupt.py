"""Ctrl-C and kill -9 at any moment: exit code 130, no half file, and the same command once more completes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

from tests.cli.running import COMMAND, content, run, write_config
from tests.contract import load_contract

INTERRUPTED = (130, -signal.SIGINT)
"""From the program; or, where the interpreter was at its own end, from the system. Shells show 130 for both."""
MOMENTS = 5
DEADLINE_S = 30


def start(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


def end_with(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str, str]:
    process.send_signal(number)
    out, err = process.communicate(timeout=DEADLINE_S)
    return process.returncode, out, err


def pause(process: subprocess.Popen[str], seconds: float) -> bool:
    """Wait so long, or for the process to end; return whether it goes on."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.poll() is None


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists() and pause(process, 0.01):
        pass


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in: bars of ten sessions in ``bars.csv``, and older ones of some symbols in ``cat``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MISMARTERA_CATALOG", "cat")
    days = ("--start", "2025-06-02", "--end", "2025-06-13", "--missing", 0)
    assert run("data", "generate", "--symbols", 8, *days, "--catalog", "source").code == 0
    assert run("data", "generate", "--symbols", 3, *days, "--seed", 1).code == 0
    bars = pl.read_parquet("source/bars/**/*.parquet", hive_partitioning=False)
    bars.sample(fraction=1, shuffle=True, seed=1).write_csv("bars.csv")
    return tmp_path


def sound(rows: tuple[int, ...]) -> None:
    """Check that the catalog has nothing wrong and as many rows as it may have."""
    verified = run("data", "verify")
    assert verified.out.endswith(": no problem\n"), verified.out
    count = int(verified.out.split(" files, ")[1].split(" rows")[0].replace(",", ""))
    assert rows[0] <= count <= rows[-1]


IMPORT = ("data", "import", "bars.csv", "--format", "csv")
GENERATE = ("data", "generate", "--symbols", 8, "--start", "2025-06-02", "--end", "2025-06-13", "--missing", 0)


def test_a_run_ends_at_once_with_130(folder: Path) -> None:
    window = {"start_date": "2025-06-02", "end_date": "2025-06-13", "speed_multiplier": 120}
    write_config(folder / "s.json", "", "", ["SYM0001", "SYM0002"], backtest_config=window)
    before = content(folder / "cat")
    process = start("backtest", "run", "s.json", "--export", "end.json", "--export-every", "1m", "--export-dir", "out")
    while len(list(folder.glob("out/*_delta_*"))) < 2 and pause(process, 0.05):
        pass
    code, out, err = end_with(process, signal.SIGINT)
    assert (code, out) == (130, "")
    assert not (folder / "end.json").exists()
    assert content(folder / "cat") == before
    written = sorted(path.name for path in (folder / "out").iterdir())
    assert [line for line in err.splitlines() if line] == [
        f"exports written: {len(written)}, without the closing delta and complete export; "
        "to check them: mismartera export check --chain out/*.json",
        "interrupted",
    ]
    assert all(name.startswith("system_status_") and name.endswith(".json") for name in written)
    contract = load_contract()
    assert [contract.problems(contract.load(str(folder / "out" / name))) for name in written] == [[]] * len(written)
    assert run("export", "check", "--chain", *(f"out/{name}" for name in written)).code == 0


def test_a_run_that_is_interrupted_in_an_analysis_ends_too(folder: Path) -> None:
    (folder / "study.py").write_text(
        "from pathlib import Path\nimport time\ndef slow(context):\n    Path('called').touch()\n    time.sleep(1)\n"
    )
    write_config(folder / "s.json", "2025-06-02", "2025-06-13", ["SYM0001"])
    process = start("backtest", "run", "s.json", "--analysis", "study.py:slow")
    wait_for(folder / "called", process)
    code, out, err = end_with(process, signal.SIGINT)
    assert (code, out, err.strip()) == (130, "", "interrupted")


@pytest.mark.parametrize("words", [IMPORT, GENERATE], ids=["import", "generate"])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_an_interrupt_between_any_two_files(
    folder: Path, words: tuple[object, ...], call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(os, call)
    left = 0

    def interrupted(*arguments: object) -> object:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
        return real(*arguments)

    for moment in (1, 2, 4, 6):  # what was moved into place stays there, so fewer are left each time
        left = moment
        with monkeypatch.context() as patch:
            patch.setattr(os, call, interrupted)
            outcome = run(*words)
        assert (outcome.code, outcome.out, [line for line in outcome.errors if line]) == (130, "", ["interrupted"])
        assert not (folder / "cat" / ".staging").exists()
        sound((10 * 3 * 390, 10 * 8 * 390))
    assert run(*words).code == 0
    sound((10 * 8 * 390,))
    assert content(folder / "cat") == content(folder / "source")


@pytest.mark.parametrize(
    ("words", "number"),
    [(IMPORT, signal.SIGINT), (GENERATE, signal.SIGINT), (IMPORT, signal.SIGKILL), (GENERATE, signal.SIGKILL)],
    ids=["import Ctrl-C", "generate Ctrl-C", "import kill", "generate kill"],
)
def test_the_end_may_come_at_any_moment(folder: Path, words: tuple[object, ...], number: signal.Signals) -> None:
    draw = random.Random(number)
    for moment in range(MOMENTS):
        process = start(*words)
        if moment:  # from the write lock on; the first one falls wherever it does
            wait_for(folder / "cat" / ".staging", process)
        pause(process, draw.uniform(0.0, 0.05) if moment else 0.3)
        code, _, err = end_with(process, number)
        if number == signal.SIGINT:
            assert code in (*INTERRUPTED, 0)
            assert err.strip() == "interrupted" or code != 130
        else:
            assert code in (-signal.SIGKILL, 0)
        sound((10 * 3 * 390, 10 * 8 * 390))
    assert run(*words).code == 0
    sound((10 * 8 * 390,))
    assert content(folder / "cat") == content(folder / "source")
