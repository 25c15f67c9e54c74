"""What the tab key offers at the shell's prompt."""

from __future__ import annotations

import datetime as dt
import json
import shlex
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from mismartera.cli.completion import ShellCompleter, split_last, unquoted
from mismartera.cli.config import EXAMPLE
from mismartera.cli.shell import SHELL_COMMANDS, Shell, shell_group
from mismartera.cli.shell_state import ShellState
from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.generate import generate


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("completion")
    generate(Catalog(made / "cat"), ["RIVN", "AAPL", "BRK.B"], dt.date(2025, 7, 1), dt.date(2025, 7, 3))
    (made / "session.json").write_text(json.dumps(EXAMPLE))
    (made / "my study.json").touch()
    (made / "sub").mkdir()
    (made / "sub" / "inner.json").touch()
    return made


@pytest.fixture
def shell(folder, monkeypatch):
    monkeypatch.chdir(folder)
    made = Shell(ShellState(config=Path("session.json"), catalog=Path("cat")))
    yield made
    made.state.close()


@pytest.fixture
def complete(shell):
    completer = ShellCompleter(shell_group, shell.state)

    def offered(text):
        """Return the lines that the completions of `text` make."""
        found = completer.get_completions(Document(text), CompleteEvent(completion_requested=True))
        return [text[: len(text) + item.start_position] + item.text for item in found]

    return offered


def test_an_empty_line_offers_every_command(complete):
    assert [line for line in complete("") if not line.startswith("-")] == list(SHELL_COMMANDS)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("sys", ["system"]),
        ("nothing", []),
        ("nothing such", []),
        ("system st", ["system start", "system status", "system stop"]),
        ("system nothing ", []),
        ("system json ", ["system json --complete", "system json --debug", "system json --help"]),
        ("system json --d", ["system json --debug"]),
        ("system json --debug --", ["system json --debug --complete", "system json --debug --help"]),
        ("system json debug=", ["system json debug=true", "system json debug=false"]),
        ("system export-status complete=f", ["system export-status complete=false"]),
        ("system export-status --de", ["system export-status --delta", "system export-status --debug"]),
        ("system export-status consumer=", ["system export-status consumer=default"]),
        ("system export-status --consumer d", ["system export-status --consumer default"]),
        ("data import x --format c", ["data import x --format csv"]),
        ("data import x format=p", ["data import x format=parquet"]),
        ("data import x --symbol A", ["data import x --symbol AAPL"]),
        ("data import x --interval 1", [f"data import x --interval 1{unit}" for unit in ("s", "m", "5m", "h", "d")]),
        ("system register me symbols=", [f"system register me symbols={name}" for name in ("AAPL", "BRK.B", "RIVN")]),
        ("system register me symbols=AAPL,R", ["system register me symbols=AAPL,RIVN"]),
        ("system register me --intervals 1m,tick", ["system register me --intervals 1m,ticks"]),
        ("system start se", ["system start session.json"]),
        ("system start 'my", ["system start 'my study.json'"]),
        ("system start my", ["system start 'my study.json'"]),
        ("system start session.json sp", []),
        ("system start sub/", ["system start sub/inner.json"]),
        ("data list catalog=s", ["data list catalog=sub"]),
        ("data list --catalog c", ["data list --catalog cat"]),
        ("help sy", ["help system"]),
        ("help system wa", ["help system wait"]),
        ("help system wait ", ["help system wait --help"]),
    ],
)
def test_offers(complete, typed, offered):
    found = complete(typed)
    assert sorted(found) == sorted(offered)


def test_what_is_offered_has_its_help(shell):
    completer = ShellCompleter(shell_group, shell.state)
    [found] = completer.get_completions(Document("system sto"), CompleteEvent())
    assert "End the session" in found.display_meta_text
    [found] = completer.get_completions(Document("sys"), CompleteEvent())
    assert found.display_meta_text == SHELL_COMMANDS["system"].short_help


def test_a_session_offers_its_own_symbols_and_intervals(shell, complete):
    assert shell.run_line("system start speed=60") == 0
    assert complete("system register x symbols=") == [f"system register x symbols={s}" for s in ("AAPL", "RIVN")]
    words = [line.rpartition("=")[2] for line in complete("system register x intervals=")]
    assert words == ["1m", "5m", "15m", "1d"]
    assert shell.run_line("system register panel") == 0
    assert complete("system export-status --consumer p") == ["system export-status --consumer panel"]


def test_a_damaged_catalog_offers_no_symbol(shell, complete, tmp_path):
    part = tmp_path / "bars" / "interval=1m" / "date=2025-07-01"
    part.mkdir(parents=True)
    (part / "part-0.parquet").write_text("no parquet")
    shell.state.catalog = tmp_path
    assert complete("data import x --symbol A") == []


@pytest.mark.parametrize(
    ("text", "words", "raw"),
    [
        ("", [], ""),
        ("a", [], "a"),
        ("a ", ["a"], ""),
        ("a 'b c", ["a"], "'b c"),
        ("a 'b c' d", ["a", "b c"], "d"),
        ('a "b\\" c', ["a"], '"b\\" c'),
        ("a b\\ c", ["a"], "b\\ c"),
        ("a\tb", ["a"], "b"),
    ],
)
def test_the_last_word_as_it_was_typed(text, words, raw):
    assert split_last(text) == (words, raw)


@pytest.mark.parametrize("word", ["plain", "two words", "it's", 'say "so"', "back\\slash"])
def test_a_word_being_typed_says_what_it_says_without_its_quotes(word):
    quoted = shlex.quote(word)
    assert unquoted(quoted) == word
    assert unquoted("'two wor") == "two wor"
    assert unquoted('"two wor') == "two wor"
    assert unquoted("two\\") == "two\\"
