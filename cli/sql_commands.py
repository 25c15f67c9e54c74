"""Ready queries and dot commands, as `mismartera sql` and its prompt run them."""

from __future__ import annotations

from mismartera.schemas.errors import UnknownNameError

from .console import say, table


def expand(piece: str) -> str:
    """Return the SQL of a ready query for ``@name``, any other statement as it is."""
    from mismartera.sql.examples import example

    return example(piece[1:].strip()).text if piece.startswith("@") else piece


def run_command(line: str) -> bool:
    """Run a dot command such as ``.schema bars``; return whether to go on."""
    from mismartera.sql.script import COMMANDS, TYPED
    from mismartera.sql.tables import SQL_TABLES

    name, *arguments = line.split()
    if name == ".tables":
        table("", ["table", "a row is"], [(one.name, one.description) for one in SQL_TABLES.values()])
    elif name == ".schema":
        for unknown in sorted(set(arguments) - set(SQL_TABLES)):
            raise UnknownNameError("table", unknown, sorted(SQL_TABLES))
        describe_tables(tuple(arguments))
    elif name == ".examples":
        list_examples()
    elif name == ".help":
        table("", ["type", "to"], list((TYPED | COMMANDS).items()))
    elif name not in (".quit", ".exit"):
        raise UnknownNameError("command", name, list(COMMANDS))
    return name not in (".quit", ".exit")


def describe_tables(names: tuple[str, ...] = ()) -> None:
    """Print the tables, or some of them, with their columns, types and units."""
    from mismartera.sql.tables import SQL_TABLES

    for name, one in SQL_TABLES.items():
        if not names or name in names:
            columns = [(column.name, column.type, column.unit, column.description) for column in one.columns]
            table(f"{name}: {one.description}", ["column", "type", "unit", "meaning"], columns, ["left"] * 4)
            say()


def list_examples() -> None:
    """Print the ready queries with their SQL."""
    from mismartera.sql.examples import examples

    for name, one in examples().items():
        say(f"@{name}: {one.description}")
        say("\n".join(f"    {line}" for line in one.text.splitlines()))
        say()
