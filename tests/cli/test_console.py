"""What commands print with: tables in pipes, silent progress, the catalog option."""

from __future__ import annotations

import io
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mismartera.cli.console import catalog_option, progress, say, table


def test_a_table_in_a_pipe_is_whole_and_plain(capsys):
    long = "x" * 200
    table("Sessions [bold]", ["name", "bars", "quality", "ok"], [[long, 1170, 99.5, True], ["b", None, 100.0, False]])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "Sessions [bold]",
        " name" + " " * 196 + "    bars   quality   ok",
        "─" * len(lines[1] + "  "),
        f" {long}   1,170     99.50   yes",
        " b" + " " * 199 + "       –    100.00   no",
    ]


def test_a_table_without_rows_or_title(capsys):
    table("", ["a", "b"], [])
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == ["a   b", "───────"]


def test_a_table_needs_a_cell_for_each_column():
    with pytest.raises(ValueError, match="zip"):
        table("", ["a", "b"], [], align=["left"])


def test_say_is_a_line(capsys):
    say("done")
    assert capsys.readouterr() == ("done\n", "")


def test_progress_is_silent_where_no_one_watches(capsys):
    with progress("Importing") as update:
        update(1, 2, "a file")
        update(2, 2)
    assert capsys.readouterr() == ("", "")


def test_progress_draws_on_a_terminal_and_vanishes(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress("Importing [1/2]") as update:
        update(1, 2, "a file")
    drawn = terminal.getvalue()
    assert "Importing [1/2]" in drawn
    assert "1/2" in drawn
    assert "\x1b[2K" in drawn.rpartition("a file")[2]  # the line is erased after it was drawn


@pytest.mark.parametrize(
    ("arguments", "environment", "folder"),
    [
        ([], {}, "data/catalog"),
        ([], {"MISMARTERA_CATALOG": "elsewhere"}, "elsewhere"),
        (["--catalog", "here"], {"MISMARTERA_CATALOG": "elsewhere"}, "here"),
    ],
)
def test_catalog_option(monkeypatch, arguments, environment, folder):
    monkeypatch.delenv("MISMARTERA_CATALOG", raising=False)

    @click.command()
    @catalog_option
    def show(catalog: Path) -> None:
        assert isinstance(catalog, Path)
        click.echo(catalog)

    assert CliRunner(env=environment).invoke(show, arguments).output == f"{folder}\n"
