"""The `mismartera` command itself: help, errors, exit codes, and that it imports little."""

from __future__ import annotations

import logging
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from mismartera.cli import main as main_module
from mismartera.cli.main import COMMANDS, LazyCommand, cli, main
from mismartera.schemas.errors import StateError, UnknownNameError

HEAVY = ["polars", "pyarrow", "duckdb", "pandas", "exchange_calendars", "pydantic", "numpy", "rich"]


@pytest.fixture
def failing(monkeypatch):
    """Return a function that makes the command ``fail`` raise what it is given."""

    def arrange(error):
        def body():
            logging.getLogger("mismartera.somewhere").warning("take care")
            logging.getLogger("mismartera.somewhere").debug("details")
            raise error

        monkeypatch.setattr(main_module, "_failing", click.Command("fail", callback=body), raising=False)
        monkeypatch.setitem(cli.lazy, "fail", LazyCommand(f"{main_module.__name__}:_failing", "Fail."))

    return arrange


def test_help_names_every_command_and_what_to_type_first(capsys):
    assert main(["--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for name, command in COMMANDS.items():
        assert f"  {name}" in out
        assert command.short_help in out
    assert "mismartera demo" in out
    assert "mismartera config init session.json" in out


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys; from mismartera.cli.main import main; code = main(sys.argv[1:]); "
        f"print(code, [name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr == "0 []\n"


def test_version(capsys):
    assert main(["--version"]) == 0
    name, version = capsys.readouterr().out.split()
    assert name == "mismartera"
    assert version[0].isdecimal()


def test_nothing_to_do_shows_the_help(capsys):
    assert main([]) == 2
    assert "First commands" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            ["backtset"],
            [
                "error: no such command 'backtset'. Did you mean 'backtest'?",
                "hint: 'mismartera --help' lists what there is",
            ],
        ),
        (
            ["--hepl"],
            [
                "error: no such option '--hepl'. Did you mean '--help'?",
                "hint: 'mismartera --help' lists what there is",
            ],
        ),
        (
            ["config", "inti"],
            [
                "error: no such command 'inti'. Did you mean 'init'?",
                "hint: 'mismartera config --help' lists what there is",
            ],
        ),
        (
            ["config", "init", "--forse"],
            [
                "error: no such option '--forse'. Did you mean '--force'?",
                "hint: 'mismartera config init --help' lists what there is",
            ],
        ),
        (
            ["config", "validate"],
            ["error: missing argument 'PATH'.", "hint: 'mismartera config validate --help' lists what there is"],
        ),
    ],
)
def test_wrong_usage_names_the_nearest(capsys, arguments, lines):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.splitlines()) == ("", lines)


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (UnknownNameError("symbol", "X", []), 1, ["error: symbol 'X' does not exist (there is no symbol at all)"]),
        (StateError("it runs", hint="stop it first"), 1, ["error: it runs", "hint: stop it first"]),
        (
            ZeroDivisionError("by zero"),
            70,
            ["internal error: ZeroDivisionError: by zero", "run again with --verbose for the traceback"],
        ),
        (KeyboardInterrupt(), 130, ["", "interrupted"]),
        (click.Abort(), 130, ["interrupted"]),
        (click.ClickException("No way"), 1, ["error: no way"]),
        (click.exceptions.Exit(3), 3, []),
        (SystemExit(4), 4, []),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(failing, capsys, error, code, lines):
    failing(error)
    assert main(["fail"]) == code
    out, err = capsys.readouterr()
    assert (out, err.splitlines()) == ("", ["WARNING: take care", *lines])


@pytest.mark.parametrize("arguments", [["-v", "fail"], ["--verbose", "fail"], ["fail", "--verbose"]])
@pytest.mark.parametrize(
    ("error", "code", "last"),
    [
        (StateError("it runs"), 1, "error: it runs"),
        (ZeroDivisionError("by zero"), 70, "internal error: ZeroDivisionError: by zero"),
    ],
)
def test_verbose_shows_the_traceback_and_the_log(failing, capsys, arguments, error, code, last):
    failing(error)
    assert main(arguments) == code
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert "DEBUG   mismartera.somewhere: details" in err
    assert err.splitlines()[-1] == last


def test_logging_is_as_it_was_afterwards(failing):
    logger = logging.getLogger("mismartera")
    before = (list(logger.handlers), logger.level)
    failing(StateError("it runs"))
    main(["-v", "fail"])
    assert (list(logger.handlers), logger.level) == before


def test_a_runner_of_click_sees_the_same(failing):
    failing(StateError("it runs", hint="stop it first"))
    result = CliRunner().invoke(cli, ["fail"])
    assert result.exit_code == 1
    assert result.stderr.splitlines() == ["WARNING: take care", "error: it runs", "hint: stop it first"]


def test_a_closed_pipe_is_quiet():
    code = "import sys; from mismartera.cli.main import main; sys.exit(main())"
    shell = f"{sys.executable} -c '{code}' config schema | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout in ("0\n", "1\n")  # 0 where all was written before the pipe closed


def test_ctrl_c_ends_the_process_with_130():
    code = (
        "import _thread, sys, threading, click; from mismartera.cli import main as m; "
        "m._w = click.Command('w', callback=lambda: (_thread.interrupt_main(), threading.Event().wait(30))); "
        "m.cli.lazy['w'] = m.LazyCommand('mismartera.cli.main:_w', ''); sys.exit(m.main(['w']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip(), done.stdout) == (130, "interrupted", "")


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "mismartera", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("mismartera ")
