"""The interactive prompt of `mismartera sql`: history, completion, statements of several lines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mismartera.schemas.errors import MismarteraError, UnknownNameError

from .answers import show_answer
from .console import say, table

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

    from mismartera.sql.session import SqlSession

_COMMANDS = {
    ".tables": "list the tables",
    ".schema": "describe the columns of all tables, or of those named: .schema bars gaps",
    ".examples": "list the ready queries; @name runs one",
    ".help": "show this",
    ".quit": "leave; so does Ctrl-D",
}
_KEYWORDS = """
SELECT FROM WHERE GROUP BY ORDER LIMIT HAVING QUALIFY JOIN LEFT ASOF USING ON AS AND OR NOT IN BETWEEN LIKE IS NULL
DISTINCT WITH UNION ALL CASE WHEN THEN ELSE END DESC ASC OVER PARTITION INTERVAL DESCRIBE SUMMARIZE EXPLAIN
"""


class Prompt:
    """Reads statements and prints answers until told to quit.

    Parameters
    ----------
    session : SqlSession
    """

    def __init__(self, session: SqlSession) -> None:
        self._session = session

    def run(self) -> None:
        """Read from the terminal until ``.quit`` or Ctrl-D; Ctrl-C drops the line that is being typed."""
        reader = self._reader()
        say("SQL over the session: statements end with ';', .help lists commands, Ctrl-D leaves")
        while True:
            try:
                text = reader.prompt("sql> ")
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if not self.answer(text):
                return

    def answer(self, text: str) -> bool:
        """Answer what was typed, errors as lines; return whether to go on."""
        words = text.split()
        if not words:
            return True
        if words[0] in (".quit", ".exit"):
            return False
        try:
            if words[0].startswith("."):
                _command(words[0], words[1:])
            else:
                self._ask(text)
        except MismarteraError as error:
            click.echo(f"error: {error}", err=True)
            if error.hint:
                click.echo(f"hint: {error.hint}", err=True)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
        return True

    def _ask(self, text: str) -> None:
        from mismartera.sql.session import split_statements

        from .sql import expand

        for statement in split_statements(expand(text)):
            show_answer(self._session.query(statement))

    def _reader(self) -> PromptSession[str]:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import WordCompleter
        from prompt_toolkit.history import FileHistory

        folder = Path(click.get_app_dir("mismartera"))
        folder.mkdir(parents=True, exist_ok=True)
        return PromptSession(
            history=FileHistory(str(folder / "sql_history")),
            completer=WordCompleter(list(words()), ignore_case=True),
            complete_while_typing=False,
            multiline=True,
            prompt_continuation="...> ",
            key_bindings=_bindings(),
        )


def words() -> Iterable[str]:
    """Return what the prompt completes: tables, columns, commands, ready queries, keywords."""
    from mismartera.sql.examples import examples
    from mismartera.sql.tables import TABLES, suggestions

    return [*TABLES, *suggestions(TABLES), *_COMMANDS, *(f"@{name}" for name in examples()), *_KEYWORDS.split()]


def is_whole(text: str) -> bool:
    """Return whether a typed text is to be answered: a command, a ready query, or a statement with its semicolon."""
    stripped = text.strip()
    return not stripped or stripped[0] in ".@" or stripped.endswith(";")


def _bindings() -> Any:
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    bindings = KeyBindings()

    @bindings.add("enter")
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_whole(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    return bindings


def _command(name: str, arguments: list[str]) -> None:
    from mismartera.sql.tables import TABLES

    from .sql import describe_tables, list_examples

    if name == ".tables":
        table("", ["table", "a row is"], [(one.name, one.description) for one in TABLES.values()])
    elif name == ".schema":
        for unknown in set(arguments) - set(TABLES):
            raise UnknownNameError("table", unknown, sorted(TABLES))
        describe_tables(tuple(arguments))
    elif name == ".examples":
        list_examples()
    elif name == ".help":
        table("", ["command", "does"], list(_COMMANDS.items()))
    else:
        raise UnknownNameError("command", name, list(_COMMANDS))
