"""`system …` at the shell's prompt: the life of a session, exports of it, and what each says."""

from __future__ import annotations

import datetime as dt
import json
import re
import threading
from pathlib import Path

import click
import pytest

from mismartera.cli.config import EXAMPLE
from mismartera.cli.shell import Shell
from mismartera.cli.shell_state import ShellState
from mismartera.cli.system import with_speed
from mismartera.cli.system_exports import pretty
from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.generate import generate
from mismartera.engine.export.formats.registry import FORMATS
from mismartera.engine.export.reading.check import check_export
from mismartera.engine.export.reading.loading import load_export
from mismartera.schemas.config import parse_config
from mismartera.schemas.errors import StateError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("system")
    generate(Catalog(made / "cat"), ["RIVN", "AAPL"], dt.date(2025, 6, 23), dt.date(2025, 7, 1), daily=True)
    config = json.loads(json.dumps(EXAMPLE))
    config["backtest_config"]["end_date"] = "2025-07-01"
    (made / "session.json").write_text(json.dumps(config))
    return made


@pytest.fixture
def shell(folder, monkeypatch):
    monkeypatch.chdir(folder)
    made = Shell(ShellState(config=Path("session.json"), catalog=Path("cat")))
    yield made
    made.state.close()


@pytest.fixture
def run(shell, capsys):
    def line(text):
        capsys.readouterr()
        code = shell.run_line(text)
        out, err = capsys.readouterr()
        return code, out, err

    return line


@pytest.mark.parametrize(
    "line", ["pause", "resume", "stop", "wait", "wait 5m", "export-status", "json", "consumers", "register x"]
)
def test_without_a_session_there_is_a_hint(run, line):
    assert run(f"system {line}") == (1, "", "error: there is no session yet\nhint: system start CONFIG starts one\n")


def test_status_before_while_and_after(run):
    assert run("system status") == (0, "no session was started: system start CONFIG\n", "")
    run("system start speed=60")
    code, out, _ = run("system status")
    shown = dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in out.splitlines()[3:])
    assert code == 0
    assert out.startswith("Example Session\n")
    assert shown["state"] == "RUNNING"
    assert shown["session active"] == "yes"
    assert shown["sessions done"] == "0 of 1"
    assert shown["symbols"] == "2"
    run("system stop")
    assert "STOPPED" in run("system status")[1]


def test_start_says_what_runs_and_how_fast(run):
    told = "✓ Session started: Example Session\nSymbols: 2\nSpeed: {}\n"
    assert run("system start speed=60") == (0, told.format("60 market seconds a second"), "")
    code, _, err = run("system start")
    assert (code, err) == (1, "error: a session is RUNNING already\nhint: system stop ends it\n")
    run("system stop")
    assert run("system start --speed 0")[1] == told.format("as fast as it can")


def test_start_needs_a_configuration(run, shell):
    shell.state.config = None
    code, _, err = run("system start")
    assert (code, err.splitlines()[0]) == (2, "error: name a configuration: system start CONFIG")
    assert run("system start session.json speed=60")[0] == 0


def test_a_session_that_cannot_start_leaves_none(run, shell):
    assert run("system start catalog=nowhere")[0] == 1
    assert shell.state.system is None
    assert run("system start speed=nan")[2].startswith("error: invalid value: expected a number of market seconds")
    assert run("system start speed=-1")[0] == 2
    assert run("system start until=2025-07-02T12:00")[0] == 1
    assert shell.state.system is None


def test_pause_wait_resume(run, shell):
    run("system start speed=3600")
    code, out, _ = run("system wait 09:32")
    assert (code, out.startswith("✓ The clock is at 2025-07-01T09:3")) == (0, True)
    assert run("system pause")[1].startswith("✓ Session paused at 2025-07-01T09:")
    code, _, err = run("system wait 5m")
    assert code == 1
    assert re.fullmatch(r"error: the session is PAUSED at \S+: its clock stands\nhint: system resume first\n", err)
    assert run("system resume")[0] == 0
    before_us = shell.state.system.snapshot.now_us
    assert run("system wait 2m")[0] == 0
    assert shell.state.system.snapshot.now_us >= before_us + 120_000_000
    assert run("system wait 2025-07-01T09:30")[0] == 0
    assert run("system wait sometime")[2].startswith("error: time 'sometime' is not one: expected a time")


def test_waiting_for_the_end_and_beyond(run, shell):
    run("system start speed=0")
    assert run("system wait") == (0, "✓ The clock is at 2025-07-01T16:00:00-04:00\n", "")
    code, _, err = run("system wait 17:00")
    assert (code, err) == (
        1,
        "error: the session ended at 2025-07-01T16:00:00-04:00, before 2025-07-01T17:00:00-04:00\n",
    )
    assert run("system start")[0] == 0
    assert not shell.state.streaming or run("system stop")[0] == 0


def test_what_failed_in_the_background_is_told(run, shell):
    run("system start speed=60")

    def broken(_):
        raise StateError("a hook failed", hint="mend it")

    shell.state.system.hooks.stepped.append(broken)
    assert run("system wait") == (1, "", "error: a hook failed\nhint: mend it\n")
    code, out, err = run("system status")
    assert (code, "FAILED" in out, err) == (1, True, "error: a hook failed\nhint: mend it\n")
    assert run("system start speed=60")[0] == 0


def test_export_status_says_what_it_wrote(run, folder):
    run("system start speed=0")
    run("system wait")
    code, out, _ = run("system export-status complete=true all.json")
    size = (folder / "all.json").stat().st_size
    rows = [
        section["count"]
        for symbol in json.loads((folder / "all.json").read_text())["session_data"]["symbols"].values()
        for part in ("session", "historical")
        for section in symbol[part]["data"].values()
    ]
    assert code == 0
    assert out.splitlines() == [
        "✓ System status exported to: all.json",
        f"File size: {size:,} bytes ({size / 1024:.1f} KB)",
        "Mode: complete",
        "Symbols: 2",
        "Threads: 4",
        f"New rows: {sum(rows):,}",
    ]
    code, out, _ = run("system export-status complete=false")
    assert re.match(r"✓ System status exported to: data/status/system_status_Example_Session_delta_\d{8}_\d{6}", out)
    assert out.endswith("Mode: delta\nSymbols: 2\nThreads: 4\nNew rows: 0\n")
    assert run("system export-status a.zip/b.json --delta")[0] == 0
    assert run("system export-status b.zip")[2].startswith("error: export format 'zip' does not exist")
    assert run("system export-status all.json/x.json")[2].startswith("error: all.json/x.json")


def test_export_status_takes_its_words_as_they_are_meant(run, shell, folder):
    run("system start speed=0")
    run("system wait")
    shell.state.system.register_consumer("desk", symbols=["AAPL"])
    assert "Mode: delta\nSymbols: 1\n" in run("system export-status --complete false --consumer desk")[1]
    assert not (folder / "false.json").exists()
    assert "export format '' does not exist" in run("system export-status format=")[2]


@pytest.mark.parametrize("form", FORMATS)
def test_export_status_writes_every_form(run, folder, form):
    run("system start speed=0")
    run("system wait")
    for _ in range(2):  # the second replaces the first
        code, out, err = run(f"system export-status state.{form}")
        assert (code, err, out.splitlines()[0]) == (0, "", f"✓ System status exported to: state.{form}")
    written = folder / f"state.{form}"
    files = list(written.iterdir()) if form in ("arrow", "parquet") else [written]
    size = sum(file.stat().st_size for file in files)
    assert out.splitlines()[1:3] == [f"File size: {size:,} bytes ({size / 1024:.1f} KB)", "Mode: complete"]
    document = load_export(written)
    assert check_export(document) == []
    assert len(document["session_data"]["symbols"]) == 2
    code, out, _ = run(f"system export-status --delta format={form}")
    named = re.match(r"✓ System status exported to: (data/status/system_status_Example_Session_delta_\S+)\n", out)
    assert (code, named[1].endswith(f".{form}")) == (0, True)
    assert check_export(load_export(folder / named[1])) == []
    assert run(f"system export-status x.json --format {form}")[::2] == (
        2,
        "error: --format is for exports without FILE; the suffix of x.json tells its form\n"
        "hint: 'system export-status --help' lists what there is\n",
    )


def test_an_export_replaces_nothing_but_an_export(run, folder):
    run("system start speed=0")
    run("system wait")
    for name in ("mine.json", "mine.parquet"):
        (folder / name).mkdir()
        (folder / name / "notes").write_text("mine")
        code, _, err = run(f"system export-status {name}")
        assert (code, err.startswith(f"error: {name}: what is there is not an export")) == (1, True)
        assert [entry.name for entry in (folder / name).iterdir()] == ["notes"]
    assert "does not exist; did you mean 'json'" in run("system export-status format=jsn")[2]


def test_a_stop_in_mid_session_keeps_it_active(run, folder):
    run("system start speed=3600")
    run("system wait 09:40")
    run("system stop")
    shown = run("system status")[1].splitlines()
    assert [line.split()[-1] for line in shown if line.startswith((" state", " session active"))] == ["STOPPED", "yes"]
    assert [line.split()[-3:] for line in shown if line.startswith(" sessions done")] == [["0", "of", "1"]]
    run("system export-status stopped.json")
    document = json.loads((folder / "stopped.json").read_text())
    assert (document["system_manager"]["_state"], document["session_data"]["_session_active"]) == ("STOPPED", True)


def test_consumers_have_cursors_of_their_own(run):
    run("system start speed=0")
    run("system wait")
    assert run("system export-status consumer=panel") == (
        1,
        "",
        "error: consumer 'panel' does not exist (available: default)\nhint: system register panel adds it\n",
    )
    assert run("system register panel symbols=RIVN intervals=5m,15m parts=session")[0] == 0
    assert run("system register panel symbols=AAPL")[2].startswith("error: consumer 'panel' is registered")
    assert "symbol 'TSLA' does not exist" in run("system register other symbols=TSLA")[2]
    for part in ("symbols", "intervals", "parts"):
        told = f"error: {part}: expected one or more, it was an empty list; leave {part} out for all there are\n"
        assert [run(f"system register other {part}={text}") for text in ("", ",")] == [(1, "", told)] * 2
    _, out, _ = run("system export-status panel.json --delta --consumer panel")
    assert out.endswith("Mode: delta\nSymbols: 1\nThreads: 4\nNew rows: 104\n")
    assert run("system export-status panel.json --delta --consumer panel")[1].endswith("New rows: 0\n")
    shown = [line.split()[:2] for line in run("system consumers")[1].splitlines()[3:]]
    assert shown == [["default", "0"], ["panel", "2"]]
    assert run("system reset-export panel")[1] == "✓ Consumer panel starts over\n"
    assert run("system export-status panel.json --delta --consumer panel")[1].endswith("New rows: 104\n")
    assert run("system reset-export nobody")[0] == 1


def test_json_prints_a_delta_or_the_full_state(run):
    run("system start speed=0")
    run("system wait")
    first, again = json.loads(run("system json")[1]), json.loads(run("system json")[1])
    assert first["session_data"]["symbols"]["RIVN"]["session"]["data"]["5m"]["count"] == 78
    assert first["session_data"]["symbols"]["RIVN"]["historical"]["data"]["1d"]["count"] == 5
    assert again["_metadata"]["changed_paths"] == []
    assert again["session_data"]["symbols"]["RIVN"]["session"]["data"]["5m"]["count"] == 0
    whole = json.loads(run("system json debug=true complete=true")[1])
    assert whole["session_data"]["symbols"]["RIVN"]["session"]["data"]["5m"]["count"] == 78
    assert whole["threads"]["data_processor"]["queue_depth"] == 0
    assert [check_export(document) for document in (first, again, whole)] == [[], [], []]


def test_waiting_ends_where_the_session_is_paused_or_over(run, shell):
    run("system start speed=600")
    assert run("system wait 2m")[0] == 0
    pausing = threading.Timer(0.2, lambda: shell.state.system.pause())
    pausing.start()
    code, _, err = run("system wait 15:59")
    pausing.join()
    assert (code, err.startswith("error: the session is PAUSED at ")) == (1, True)
    run("system stop")
    assert run("system wait 15:59")[2].startswith("error: the session ended at ")


def test_a_session_streams_while_lines_are_run(run, shell):
    run("system start speed=600")
    names = {thread.name for thread in threading.enumerate()}
    assert {"SessionCoordinator", "DataProcessor", "DataQualityManager", "AnalysisEngine"} <= names
    before_us = shell.state.system.snapshot.now_us
    assert run("data list")[0] == 0
    assert run("system wait 2m")[0] == 0
    assert shell.state.system.snapshot.now_us > before_us
    shell.state.close()
    assert not shell.state.streaming


def test_speed_replaces_that_of_the_configuration():
    config = parse_config(EXAMPLE)
    assert with_speed(config, None) is config
    faster = with_speed(config, 60.0)
    assert faster.backtest_config.speed_multiplier == 60.0
    assert config.backtest_config.speed_multiplier == 0.0
    assert faster.session_data_config is config.session_data_config
    with pytest.raises(click.BadParameter, match="inf"):
        with_speed(config, float("inf"))
    live = parse_config({**{k: v for k, v in EXAMPLE.items() if k != "backtest_config"}, "mode": "live"})
    with pytest.raises(StateError, match="'live'"):
        with_speed(live, 60.0)


@pytest.mark.parametrize("value", [{}, [], [[]], None, {"a": {}, "b": [{"c": 1}, 2]}, "x", {"ü": [1, [2]]}])
def test_pretty_json_is_the_same_json(value):
    assert json.loads(pretty(value)) == value
