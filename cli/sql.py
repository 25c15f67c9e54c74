"""`mismartera sql`: ask a session, its exports or the catalog with SQL."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .answers import FORMATS, plot_answer, write_answer
from .console import catalog_option, say, table

if TYPE_CHECKING:
    from mismartera.sql.safe import Limits
    from mismartera.sql.session import SqlSession


@dataclass(frozen=True, slots=True)
class Where:
    """What is asked, as the options say it."""

    exports: tuple[Path, ...]
    as_of: int | None
    consumer: str | None
    config: Path | None
    until: str | None
    catalog: Path
    session_date: dt.date | None
    exchange: str


@click.command("sql")
@click.argument("query", required=False)
@click.option(
    "--exports",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PATH",
    help="Ask exports: a file, or a folder of them, replayed in their order; may be repeated.",
)
@click.option("--as-of", type=int, metavar="SEQUENCE", help="Replay exports up to this sequence; by default all.")
@click.option("--consumer", metavar="NAME", help="Whose exports, where there are those of several.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="CONFIG",
    help="Ask a live session: run this configuration over the catalog first.",
)
@click.option("--until", metavar="TIME", help="With --config: stop the run there, such as 2025-07-02T11:30.")
@catalog_option
@click.option(
    "--session",
    "session_date",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="With a catalog: the date of session_bars; by default the last one stored.",
)
@click.option(
    "--exchange",
    default="US_EQUITY",
    show_default=True,
    metavar="GROUP",
    help="With a catalog: whose calendar tells which bars are expected.",
)
@click.option("--format", "form", type=click.Choice(FORMATS), help="Of the answer; by default as -o ends, else table.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it there.")
@click.option("--plot", metavar="COLUMN", help="Draw this column of the answer as a bar chart.")
@click.option("--memory-limit", default="1GB", show_default=True, metavar="SIZE", help="What a query may hold.")
@click.option("--timeout", default=30.0, show_default=True, metavar="SECONDS", help="When a query is stopped; 0 never.")
@click.option("--max-rows", default=5_000_000, show_default=True, metavar="ROWS", help="Most rows of an answer; 0 any.")
@click.option("--tables", "show_tables", is_flag=True, help="Describe the tables and their columns, and stop.")
@click.option("--examples", "show_examples", is_flag=True, help="List the ready queries, and stop.")
def sql_command(
    query: str | None,
    exports: tuple[Path, ...],
    as_of: int | None,
    consumer: str | None,
    config: Path | None,
    until: str | None,
    catalog: Path,
    session_date: dt.datetime | None,
    exchange: str,
    form: str | None,
    output: Path | None,
    plot: str | None,
    memory_limit: str,
    timeout: float,
    max_rows: int,
    show_tables: bool,
    show_examples: bool,
) -> None:
    """Ask a session, its exports or the catalog with SQL: the same tables, whichever it is.

    QUERY is a SELECT, or the name of a ready query after an @. Without one, statements are read from a pipe, or typed
    at a prompt. Queries only read: anything else is refused. Times are those of the exchange's zone.

    \b
    Examples:
      mismartera sql "SELECT symbol, max(high) FROM bars GROUP BY symbol" --catalog data/catalog
      mismartera sql @worst_quality --exports data/status
      mismartera sql @volume_profile --plot share --config session.json --until 2025-07-02T11:30
      mismartera sql "SELECT * FROM gaps" --exports state.json -o gaps.csv
      mismartera sql --tables
    """
    from mismartera.sql.safe import Limits

    if show_tables:
        describe_tables()
    if show_examples:
        list_examples()
    if show_tables or show_examples:
        return
    if exports and config:
        raise click.UsageError("--exports and --config are two things to ask: name one")
    limits = Limits(memory=memory_limit, timeout_s=timeout, rows=max_rows)
    date = None if session_date is None else session_date.date()
    where = Where(exports, as_of, consumer, config, until, catalog, date, exchange)
    with open_session(where, limits) as session:
        if query is None and sys.stdin.isatty():
            from .sql_prompt import Prompt

            Prompt(session).run()
            return
        text = sys.stdin.read() if query is None else query
        _answer_all(session, text, form or "", output, plot)


@contextmanager
def open_session(where: Where, limits: Limits) -> Iterator[SqlSession]:
    """Open what is asked: exports, a session that is run first, or the catalog."""
    if where.exports:
        from mismartera.sql.exports import open_exports

        with open_exports(where.exports, as_of=where.as_of, consumer=where.consumer, limits=limits) as session:
            yield session
    elif where.config is not None:
        from mismartera.engine.system.manager import SystemManager
        from mismartera.sql.live import LiveSql

        from .backtest import run_to_end

        system = SystemManager(where.config, where.catalog)
        run_to_end(system, where.until)
        live = LiveSql(system.sql_facts, limits)
        with live.open(system.snapshot) as session:
            yield session
        live.close()
    else:
        from mismartera.sql.catalog import open_catalog

        with open_catalog(
            where.catalog, session_date=where.session_date, exchange_group=where.exchange, limits=limits
        ) as session:
            yield session


def expand(text: str) -> str:
    """Return the SQL of a ready query for ``@name``, any other text as it is."""
    from mismartera.sql.examples import example

    name = text.strip().rstrip(";")
    return example(name[1:]).text if name.startswith("@") and name[1:].isidentifier() else text


def describe_tables(names: tuple[str, ...] = ()) -> None:
    """Print the tables, or some of them, with their columns, types and units."""
    from mismartera.sql.tables import TABLES

    for name, one in TABLES.items():
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


def _answer_all(session: SqlSession, text: str, form: str, output: Path | None, plot: str | None) -> None:
    from mismartera.sql.session import split_statements

    statements = split_statements(expand(text))
    if not statements:
        raise click.UsageError("no query: write one, or name a ready one such as @worst_quality")
    if len(statements) > 1 and (output is not None or form not in ("", "table")):
        raise click.UsageError(f"{len(statements)} statements, but one file or stream to write: give one at a time")
    for statement in statements:
        answer = session.query(statement)
        if plot is not None:
            plot_answer(answer, plot)
        else:
            write_answer(answer, form, output)
