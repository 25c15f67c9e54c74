"""What is typed at the prompt or piped in: statements, ready queries and dot commands, one after the other."""

from __future__ import annotations

import re

from .errors import QueryError
from .session import split_statements

COMMANDS = {
    ".tables": "list the tables",
    ".schema": "describe the columns of all tables, or of those named: .schema bars gaps",
    ".examples": "list the ready queries with their SQL",
    ".help": "show this",
    ".quit": "leave; so does .exit",
}
"""Each dot command with what it does."""
TYPED = {
    "SELECT ... ;": "answer a statement; it may take several lines, and its ';' ends it",
    "@worst_quality": "answer a ready query",
}
"""What else can be typed."""

# Texts, names and comments, in which a semicolon ends nothing. One that is never closed reaches to the end.
_QUIET = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | (?P<tag>\$[A-Za-z_]*\$).*?(?P=tag) | (?P<comment>--[^\n\r]* | /\*.*?\*/)
      | (?P<open>(?:['"] | /\* | \$[A-Za-z_]*\$).*)""",
    re.DOTALL | re.VERBOSE,
)


def is_whole(text: str) -> bool:
    """Return whether a text can be run as it stands: its last statement has its semicolon.

    A dot command or a ready query is whole at the end of its line. Cost: O(characters).
    """
    before, _, last = text.rstrip().rpartition("\n")
    return _is_ended(text) or (_is_line(last) and _is_ended(before))


def split_script(text: str) -> list[str]:
    """Return the statements of a script without their semicolons, and its dot commands and ready queries.

    Parameters
    ----------
    text : str
        A line that begins with ``.`` or ``@`` between two statements is a command or a ready query. The last
        statement may lack its semicolon.

    Raises
    ------
    QueryError
        If a statement is no SQL, or a command stands in the midst of one.
    """
    pieces: list[str] = []
    statements: list[str] = []
    for line in text.split("\n"):  # not splitlines(): what else it takes for a line's end may stand in a text
        if _is_line(line) and _is_ended("\n".join(statements)):
            pieces += [*split_statements("\n".join(statements)), line.strip().rstrip("; \t")]
            statements = []
            continue
        if line.split()[:1] and line.split()[0].rstrip(";") in COMMANDS and _is_open("\n".join(statements)):
            raise QueryError(
                f"{line.strip()} stands in the midst of a statement",
                hint="end the statement before it with ';'",
            )
        statements.append(line)
    return [*pieces, *split_statements("\n".join(statements))]


def _is_line(line: str) -> bool:
    return line.lstrip()[:1] in (".", "@")


def _said(text: str) -> str:
    return _QUIET.sub(lambda found: " " if found["comment"] else "'" if found["open"] else "x", text).strip()


def _is_ended(text: str) -> bool:
    said = _said(text)
    return not said or said.endswith(";")


def _is_open(text: str) -> bool:
    """Return whether a statement was begun, and what follows is not within a text or comment."""
    said = _said(text)
    return bool(said) and not said.endswith(("'", ";"))
