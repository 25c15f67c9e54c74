"""The interactive prompt of `mismartera sql`: history, completion, statements of several lines."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mismartera.schemas.errors import MismarteraError

from .answers import show_answer
from .console import say
from .interruptible import interruptible
from .sql_commands import expand, run_command

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

    from mismartera.sql.session import SqlSession

_KEYWORDS = """
SELECT FROM WHERE GROUP BY ORDER LIMIT HAVING QUALIFY JOIN LEFT ASOF USING ON AS AND OR NOT IN BETWEEN LIKE IS NULL
DISTINCT WITH UNION ALL CASE WHEN THEN ELSE END DESC ASC OVER PARTITION INTERVAL DESCRIBE SUMMARIZE EXPLAIN ANALYZE
PIVOT UNPIVOT
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
        say("Statements end with ';'. Type .tables to see what there is to ask, .help for more; Ctrl-D leaves.")
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
        from mismartera.sql.script import split_script

        try:
            for piece in split_script(text):
                if not piece.startswith("."):
                    query = partial(self._session.query, expand(piece))
                    show_answer(interruptible(query, self._session.interrupt))
                elif not run_command(piece):
                    return False
        except MismarteraError as error:
            click.echo(f"error: {error}", err=True)
            if error.hint:
                click.echo(f"hint: {error.hint}", err=True)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
        return True

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


def read_query(query: str | None) -> str:
    """Return the query of the command line, or without one what is piped in.

    Raises
    ------
    click.UsageError
        If it is not UTF-8 throughout.
    """
    if query is None and isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(newline="")  # the ends of lines stay what they are: they may stand in a text
    try:
        text = sys.stdin.read() if query is None else query
        text.encode()  # what could not be decoded may stand in the text as lone surrogates
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        where = "standard input" if query is None else "the query"
        raise click.UsageError(f"{where} is no UTF-8 text: {error.reason} at {error.start:,}") from error
    return text


def words() -> Iterable[str]:
    """Return what the prompt completes: tables, columns, commands, ready queries, keywords."""
    from mismartera.sql.examples import examples
    from mismartera.sql.script import COMMANDS
    from mismartera.sql.tables import SQL_TABLES, suggestions

    return [*SQL_TABLES, *suggestions(SQL_TABLES), *COMMANDS, *(f"@{name}" for name in examples()), *_KEYWORDS.split()]


def _bindings() -> Any:
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    from mismartera.sql.script import is_whole

    bindings = KeyBindings()

    @bindings.add("enter")
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_whole(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    return bindings
