"""`mismartera shell`: scripts on standard input, one line at a time, and the words of a line."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import click
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from mismartera.cli.console import catalog_option
from mismartera.cli.main import cli, main
from mismartera.cli.shell import PROMPT, SHELL_COMMANDS, Shell, history_path, shell_group
from mismartera.cli.shell_state import ShellState
from mismartera.cli.words import as_options, resolve
from tests.contract import load_contract
from tests.test_docs import commands_of

ROOT = Path(__file__).resolve().parents[2]
TRANSCRIPT = Path(__file__).with_name("shell_transcript.txt")
THREADS = {"SessionCoordinator", "DataProcessor", "DataQualityManager", "AnalysisEngine"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with the catalog and the configuration the transcript starts from."""
    folder = tmp_path_factory.mktemp("shell")
    for line in TRANSCRIPT.read_text(encoding="utf-8").splitlines()[:2]:
        words = shlex.split(line.removeprefix("$ mismartera "))
        subprocess.run([sys.executable, "-m", "mismartera", *words], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def shell(world, monkeypatch):
    monkeypatch.chdir(world)
    made = Shell(ShellState(config=Path("session.json"), catalog=Path("data/catalog")))
    yield made
    made.state.close()
    assert not {thread.name for thread in threading.enumerate()} & THREADS


def run_script(folder, text, *options):
    """Pipe a script into a shell of its own; return its exit code and everything it printed."""
    words = [sys.executable, "-m", "mismartera", "shell", *options]
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "PYTHONUTF8": "1"}
    done = subprocess.run(
        words, cwd=folder, input=text, stdout=-1, stderr=subprocess.STDOUT, text=True, env=environment, check=False
    )
    return done.returncode, done.stdout


def without_figures(text):
    """Sizes, counts and instants depend on how fast the machine is."""
    return re.sub(r"[0-9][0-9,.:]*", "N", text)


@pytest.fixture(scope="module")
def tour(world):
    """The transcript's lines, run: what was printed."""
    recorded = "".join(TRANSCRIPT.read_text(encoding="utf-8").splitlines(keepends=True)[3:])
    typed = [line.removeprefix(PROMPT) for line in recorded.splitlines(keepends=True) if line.startswith(PROMPT)]
    code, printed = run_script(world, "".join(typed), "session.json")
    assert code == 0, printed
    return recorded, printed


def test_a_script_starts_exports_and_stops_as_the_transcript_shows(tour):
    recorded, printed = tour
    assert without_figures(printed) == without_figures(recorded)


def test_what_a_script_exported_while_the_session_streamed_replays(tour, world):
    contract = load_contract()
    names = ["first", "second", "third", "fourth", "fifth"]
    exports = [json.loads((world / f"{name}.json").read_text()) for name in names]
    state = None
    for export in exports:
        assert contract.problems(export) == []
        state = contract.apply(state, export)
    last = json.loads((world / "last.json").read_text())
    assert contract.differences(state, last) == []
    assert [export["system_manager"]["_state"] for export in exports] == ["RUNNING"] * 4 + ["STOPPED"]
    instants = [export["_metadata"]["generated_at"] for export in exports]
    assert instants == sorted(instants)
    assert instants[0] < instants[1] < instants[2] < instants[3]


def test_the_readme_shows_this_transcript():
    blocks = re.findall(r"```\w*\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    shown = [block for block in blocks if PROMPT in block and "export-status" in block]
    assert all(block == TRANSCRIPT.read_text(encoding="utf-8") for block in shown)


def test_a_failing_line_is_told_in_a_line_and_the_script_goes_on(world):
    script = 'system status\n\n# a remark\nsystem pause\nsytem\necho "open\nsystem wait 5x\nexit\nhelp\n'
    code, printed = run_script(world, script)
    assert code == 1
    assert printed == (
        f"{PROMPT}system status\n"
        "no session was started: system start CONFIG\n"
        f"{PROMPT}# a remark\n"
        f"{PROMPT}system pause\n"
        "error: there is no session yet\n"
        "hint: system start CONFIG starts one\n"
        f"{PROMPT}sytem\n"
        "error: no such command 'sytem'. Did you mean 'system'?\n"
        "hint: '--help' lists what there is\n"
        f'{PROMPT}echo "open\n'
        "error: the line cannot be read: no closing quotation\n"
        f"{PROMPT}system wait 5x\n"
        "error: there is no session yet\n"
        "hint: system start CONFIG starts one\n"
        f"{PROMPT}exit\n"
    )
    assert not (world / "state").exists()


def test_a_script_may_begin_with_a_byte_order_mark(world):
    code, printed = run_script(world, "\ufeffsystem status\r\n", "session.json")
    assert (code, printed) == (0, f"{PROMPT}system status\nno session was started: system start CONFIG\n")


def test_a_configuration_that_cannot_be_read_ends_the_shell_at_once(world):
    code, printed = run_script(world, "help\n", "no.json")
    assert code == 1
    assert printed.startswith("error: no.json")
    assert PROMPT not in printed


def test_ctrl_c_ends_a_script_and_the_session_with_it(world):
    words = [sys.executable, "-m", "mismartera", "shell", "session.json"]
    with subprocess.Popen(words, cwd=world, stdin=-1, stdout=-1, stderr=-1, text=True) as process:
        process.stdin.write("system start speed=60\nsystem wait\n")
        process.stdin.flush()
        while "system wait" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.strip() == "interrupted"


def test_the_end_of_the_script_ends_the_session(world):
    code, printed = run_script(world, "system start speed=60\n", "session.json")
    assert code == 0
    assert "✓ Session started: Example Session\n" in printed


@pytest.mark.parametrize("name", [name for name in SHELL_COMMANDS if name not in ("system", "help", "exit")])
def test_commands_are_those_of_the_command_line(name):
    assert shell_group.get_command(click.Context(shell_group), name) is cli.get_command(click.Context(cli), name)


@pytest.mark.parametrize(("path", "command"), list(commands_of("", shell_group)), ids=lambda item: str(item))
def test_every_command_explains_itself(path, command, shell, capsys):
    assert shell.run_line(f"{path} --help") == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"Usage: {path}".rstrip())
    assert err == ""
    assert command.help


def test_help_explains_the_shell_and_a_command(shell, capsys):
    assert shell.run_line("help") == 0
    out = capsys.readouterr().out
    assert out.startswith("Usage: COMMAND [OPTIONS] [ARGS]...\n")
    assert "system start session.json speed=60" in out
    assert all(f"  {name}" in out for name in SHELL_COMMANDS)
    assert shell.run_line("help system export-status") == 0
    assert "--complete / --delta" in capsys.readouterr().out
    assert shell.run_line("help system") == 0
    lines = capsys.readouterr().out.partition("Commands:\n")[2].splitlines()
    assert len(lines) == 11
    assert not [line for line in lines if line.endswith("...")]
    assert shell.run_line("help system stop") == 0
    assert "STOPPED" in capsys.readouterr().out
    assert shell.run_line("help system expotr") == 2
    assert "no such command 'expotr'" in capsys.readouterr().err


def test_the_shells_catalog_is_every_commands(shell, capsys):
    assert shell.run_line("data list") == 0
    assert "RIVN" in capsys.readouterr().out
    assert shell.run_line("data list catalog=nowhere") == 1
    assert "no catalog at nowhere" in capsys.readouterr().err


def test_a_command_that_exits_with_a_code_fails_its_line(shell, capsys):
    Path("wrong.json").write_text("{}")
    assert shell.run_line("config validate wrong.json") == 1
    assert "error: wrong.json" in capsys.readouterr().err


def test_errors_never_end_the_shell_and_tracebacks_are_shown_on_demand(shell, capsys, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("mismartera.cli.system_exports.pretty", broken)
    shell.run_line("system start speed=60")
    capsys.readouterr()
    assert shell.run_line("system json") == 70
    assert capsys.readouterr().err == (
        "internal error: ZeroDivisionError: by nothing\nrun again with --verbose for the traceback\n"
    )
    assert shell.run_line("system json --verbose") == 70
    assert "Traceback" in capsys.readouterr().err
    assert shell.run_line("system json") == 70
    assert "Traceback" not in capsys.readouterr().err
    assert Shell(shell.state, verbose=True).run_line("system json") == 70
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_ends_the_command_and_not_the_session(shell, capsys):
    shell.run_line("system start speed=60")
    capsys.readouterr()
    timer = threading.Timer(0.3, lambda: signal.raise_signal(signal.SIGINT))
    timer.start()
    code = shell.run_line("system wait")
    timer.join()
    assert code == 130
    assert capsys.readouterr().err == "\ninterrupted\n"
    assert shell.state.streaming


def test_exit_leaves(shell):
    assert shell.run_line("exit") == 0
    assert shell.state.leaving


@pytest.mark.parametrize("leave", ["exit\r", "\x04"])
def test_at_a_prompt_ctrl_c_clears_the_line_and_the_history_is_kept(shell, capsys, monkeypatch, tmp_path, leave):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with create_pipe_input() as typed, create_app_session(input=typed, output=DummyOutput()):
        typed.send_text("config val\x03system start speed=60\rsytem\rsystem stop\r" + leave)
        assert shell.converse() == 0
    out, err = capsys.readouterr()
    assert "✓ Session started: Example Session" in out
    assert "the session is" not in out
    assert "no such command 'sytem'" in err
    kept = [line[1:] for line in history_path().read_text().splitlines() if line.startswith("+")]
    assert kept == ["system start speed=60", "sytem", "system stop", "exit"][: 4 if "exit" in leave else 3]


def test_a_session_that_ends_while_one_types_is_told(shell, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    lines = iter(["system start speed=60", "help", "exit"])

    def prompt(*_, **__):
        line = next(lines)
        if line == "help":
            shell.state.system.stop()
        return line

    monkeypatch.setattr("prompt_toolkit.PromptSession.prompt", prompt)
    with create_app_session(output=DummyOutput()):
        assert shell.converse() == 0
    assert capsys.readouterr().out.count("the session is STOPPED by now: system status tells more") == 1


def test_without_a_place_for_it_the_history_is_not_kept(shell, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with create_pipe_input() as typed, create_app_session(input=typed, output=DummyOutput()):
        typed.send_text("help\r\x04")
        assert shell.converse() == 0


def test_history_is_kept_where_states_are(monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/states")
    assert history_path() == Path("/states/mismartera/shell_history")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert history_path() == Path("/home/me/.local/state/mismartera/shell_history")


@click.group()
def sample():
    pass


@sample.command("do")
@click.argument("files", nargs=-1)
@click.option("--complete/--delta", default=True)
@click.option("--debug", is_flag=True)
@click.option("--max-rows", type=int)
@click.option("--columns")
@click.option("--symbol", multiple=True)
@catalog_option
def do_command(**_):
    pass


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("do a.json", "do a.json"),
        ("do complete=true a.json", "do --complete a.json"),
        ("do complete=false a.json", "do --delta a.json"),
        ("do delta=yes", "do --delta"),
        ("do delta=0", "do --complete"),
        ("do debug=on", "do --debug"),
        ("do --complete false a.json", "do --delta a.json"),
        ("do --complete TRUE a.json", "do --complete a.json"),
        ("do --delta no --debug off on", "do --complete on"),
        ("do --complete ./false f", "do --complete ./false f"),
        ("do --columns --complete false", "do --columns --complete false"),
        ("do -- --complete false", "do -- --complete false"),
        ("do debug=false", "do"),
        ("do max_rows=5 max-rows=6", "do --max-rows=5 --max-rows=6"),
        ("do symbol=A=B symbol=", "do --symbol=A=B --symbol="),
        ("do --columns symbol=theirs a", "do --columns symbol=theirs a"),
        ("do --columns=x symbol=A", "do --columns=x --symbol=A"),
        ("do 1=1 =x", "do 1=1 =x"),
        ("do -- debug=true", "do -- debug=true"),
        ("--flag do debug=true", "--flag do --debug"),
        ("unknown debug=true", "unknown debug=true"),
    ],
)
def test_key_value_is_an_option_where_there_is_one(typed, meant):
    assert as_options(sample, shlex.split(typed), {}) == shlex.split(meant)


def test_options_left_out_are_added():
    assert as_options(sample, ["do", "a"], {"catalog": "c"}) == ["do", "--catalog=c", "a"]
    assert as_options(sample, ["do", "catalog=d"], {"catalog": "c"}) == ["do", "--catalog=d"]
    assert as_options(sample, ["do", "--catalog", "d"], {"catalog": "c"}) == ["do", "--catalog", "d"]
    assert as_options(sample, [], {"catalog": "c"}) == []


def test_a_flag_that_is_neither_true_nor_false_is_an_error(shell, capsys):
    for value in ("perhaps", ""):
        assert shell.run_line(f"system json complete={value}") == 2
        assert f"'--complete': expected true or false, it was '{value}'\n" in capsys.readouterr().err


def test_words_lead_to_a_command():
    place = resolve(shell_group, ["system", "start", "x.json", "--speed"])
    assert place.ctx.command_path == "system start"
    assert (place.before, place.rest) == (["system", "start"], ["x.json", "--speed"])
    assert place.option("--speed").name == "speed"
    assert place.option("speed") is None


def test_the_command_line_offers_the_shell(capsys):
    assert main(["shell", "--help"]) == 0
    assert "mismartera shell session.json" in capsys.readouterr().out


def test_a_key_that_is_no_option_is_told_and_nothing_is_written(world):
    script = "system start session.json\nsystem wait\nsystem export-status cmplete=true\n"
    code, printed = run_script(world, script)
    assert code == 1
    assert "error: no such option '--cmplete'" in printed
    assert not (world / "cmplete=true.json").exists()
