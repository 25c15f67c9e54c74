"""Everything public is documented, and what the README tells people to type exists."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mismartera.cli.main import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("cli", "engine", "mismartera", "schemas", "sql")
    for path in (ROOT / folder).rglob("*.py")
    if not any(parent.is_symlink() for parent in path.parents)
)


def undocumented(source):
    """Return the public classes, functions and methods of a module that have no docstring."""
    tree = ast.parse(source)
    missing = [] if ast.get_docstring(tree) else ["the module"]
    pending = [("", node) for node in tree.body]
    while pending:
        owner, node = pending.pop(0)
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node) and not any(
            getattr(mark, "id", "") == "overload" for mark in node.decorator_list
        ):
            missing.append(f"{owner}{node.name}")
        if isinstance(node, ast.ClassDef):
            pending.extend((f"{owner}{node.name}.", inner) for inner in node.body)
    return missing


def commands_of(name, command, parent=None):
    """Yield a command and all below it, each with its words."""
    # A command keeps the help option it makes for the first context that asks: give it the one of the command line.
    ctx = click.Context(command, info_name=name, parent=parent, **cli.context_settings)
    yield ctx.command_path, command
    if isinstance(command, click.Group):
        for below in command.list_commands(ctx):
            yield from commands_of(below, command.get_command(ctx, below), ctx)


def typed_commands(text):
    """Return the lines of a text that start with ``$ mismartera``, up to a pipe, a redirection or a comment."""
    lines = re.findall(r"^\s*\$ (mismartera\b.*)$", text.replace("\\\n", " "), flags=re.MULTILINE)
    return [" ".join(re.split(r"\s(?:[|<>#]|2>|&&|&)", line)[0].split()) for line in lines]


def check_typed(line):
    """Parse a command line without running it; raises `click.UsageError` for what does not exist."""
    words, command, ctx = shlex.split(line)[1:], cli, click.Context(cli, info_name="mismartera")
    while isinstance(command, click.Group):
        _, words, _ = command.make_parser(ctx).parse_args(words)
        if not words:
            return
        name, command, words = command.resolve_command(ctx, words)
        ctx = click.Context(command, info_name=name, parent=ctx)
    _, left, _ = command.make_parser(ctx).parse_args(words)
    if left:
        raise click.UsageError(f"unexpected {left}", ctx)


@pytest.mark.parametrize("file", FILES)
def test_everything_public_has_a_docstring(file):
    assert undocumented((ROOT / file).read_text(encoding="utf-8")) == []


def test_the_judge_of_docstrings():
    source = "class A:\n  '''.'''\n  def f(self): ...\n  def _g(self): ...\ndef h(): ...\nclass _B:\n  def i(self): ..."
    assert undocumented(source) == ["the module", "h", "A.f"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name):
    for path, command in commands_of(name, COMMANDS[name].load()):
        assert command.help, f"{path} has no help"
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{path} {option.opts[0]} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_answers_help(name):
    for path, _ in commands_of(name, COMMANDS[name].load()):
        for option in ("-h", "--help"):
            result = CliRunner().invoke(cli, [*path.split(), option])
            assert result.exit_code == 0, path
            assert result.stdout.startswith(f"Usage: mismartera {path} "), path


def test_a_command_of_a_group_is_called_as_the_help_says():
    for name, command in COMMANDS.items():
        assert command.load().name == name


@pytest.mark.parametrize("line", [line.strip() for line in cli.help.splitlines() if line.startswith("  mismartera ")])
def test_the_help_tells_commands_that_exist(line):
    check_typed(re.split(r"\s{3,}", line)[0])


def test_the_readme_tells_commands_that_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# mismartera\n")
    for line in typed_commands(text):
        try:
            check_typed(line)
        except click.UsageError as error:
            pytest.fail(f"README.md: '$ {line}': {error.format_message()}")


def test_the_judge_of_typed_commands():
    text = (
        "$ mismartera config init a.json --force  # x\n"
        "  $ mismartera config schema > f\n"
        "$ mismartera config \\\n  validate b\n"
    )
    assert typed_commands(text) == [
        "mismartera config init a.json --force",
        "mismartera config schema",
        "mismartera config validate b",
    ]
    for line in typed_commands(text):
        check_typed(line)


@pytest.mark.parametrize("line", ["config init --nope", "confg", "config init a b", "--nope", "config nope"])
def test_the_judge_finds_what_does_not_exist(line):
    with pytest.raises(click.UsageError):
        check_typed(f"mismartera {line}")
