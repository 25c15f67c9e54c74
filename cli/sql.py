"""`mismartera sql`: ask a session, its exports or the catalog with SQL."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .answers import FORMATS, plot_answer, write_answer
from .console import catalog_option
from .interruptible import interruptible
from .sql_commands import describe_tables, expand, list_examples, run_command

if TYPE_CHECKING:
    from mismartera.sql.database import Limits
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
    help="Ask exports: a file, or a folder of them, replayed in their order. May be repeated.",
)
@click.option(
    "--as-of", type=int, metavar="SEQUENCE", help="With --exports: replay them up to this number; by default all."
)
@click.option("--consumer", metavar="NAME", help="With --exports: whose, where they are those of several consumers.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="CONFIG",
    help="Ask a session: run this configuration over the catalog first.",
)
@click.option("--until", metavar="TIME", help="With --config: stop the run there, such as 2025-07-02T11:30.")
@catalog_option
@click.option(
    "--session",
    "session_date",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="With a catalog: the session that is the current one; by default the last one stored.",
)
@click.option(
    "--exchange",
    default="US_EQUITY",
    show_default=True,
    metavar="GROUP",
    help="With a catalog: whose calendar tells which bars are expected.",
)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="Form of the answer; by default as FILE ends, else table."
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the answer there."
)
@click.option("--plot", metavar="COLUMN", help="Draw this column of the answer as a bar chart.")
@click.option("--memory-limit", default="1GB", show_default=True, metavar="SIZE", help="Memory a query may take.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="When a query is stopped; 0 for never.",
)
@click.option(
    "--max-rows",
    type=click.IntRange(min=0),
    default=5_000_000,
    show_default=True,
    metavar="ROWS",
    help="Rows an answer may have; 0 for any.",
)
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
    """Ask the catalog, a session or its exports with SQL: the same tables, whichever it is.

    By default the catalog is asked; with --exports it is exports, with --config the session of a configuration, which
    is run first. --tables describes the tables.

    QUERY is a SELECT, or several statements with a ';' after each, or a ready query by its name after an @. Without
    QUERY they are read from a pipe, or typed at a prompt; a line .help there tells what else can be typed. Queries only
    read: anything else is refused. Times are shown, and read, in the exchange's zone.

    \b
    Examples:
      mismartera sql "SELECT symbol, max(high) FROM bars GROUP BY symbol" --catalog data/catalog
      mismartera sql @worst_quality --exports data/status
      mismartera sql @volume_profile --plot share --config session.json --until 2025-07-02T11:30
      mismartera sql "SELECT * FROM gaps" --exports state.json -o gaps.csv
      mismartera sql --tables
    """
    from mismartera.sql.database import Limits

    if show_tables:
        describe_tables()
    if show_examples:
        list_examples()
    if show_tables or show_examples:
        return
    date = None if session_date is None else session_date.date()
    where = Where(exports, as_of, consumer, config, until, catalog, date, exchange)
    _check_options(where)
    if plot is not None and (output is not None or form not in (None, "table")):
        raise click.UsageError("--plot draws the answer: leave out --format and -o")
    limits = Limits(memory=memory_limit, timeout_s=timeout, rows=max_rows)
    with open_session(where, limits) as session:
        from .sql_prompt import Prompt, read_query

        if query is None and sys.stdin.isatty():
            Prompt(session).run()
            return
        _answer_all(session, read_query(query), form or "", output, plot)


def _check_options(where: Where) -> None:
    """Refuse options that would be of no effect on what is asked."""
    if where.exports and where.config:
        raise click.UsageError("--exports and --config are two things to ask: name one")
    needs = {
        "--as-of": (where.as_of, where.exports, "--exports"),
        "--consumer": (where.consumer, where.exports, "--exports"),
        "--until": (where.until, where.config, "--config"),
        "--session": (
            where.session_date,
            not (where.exports or where.config),
            "the catalog, not --exports or --config",
        ),
    }
    for option, (value, fits, needed) in needs.items():
        if value is not None and not fits:
            raise click.UsageError(f"{option} goes with {needed}")


@contextmanager
def open_session(where: Where, limits: Limits) -> Iterator[SqlSession]:
    """Open what is asked: exports, a session that is run first, or the catalog."""
    if where.exports:
        from mismartera.sql.exports.open_exports import open_exports

        with open_exports(where.exports, as_of=where.as_of, consumer=where.consumer, limits=limits) as session:
            yield session
    elif where.config is not None:
        from mismartera.engine.system.system_manager import SystemManager
        from mismartera.sql.live.live_sql import LiveSql

        from .backtest import run_to_end

        system = SystemManager(where.config, where.catalog)
        run_to_end(system, where.until)
        live = LiveSql(system.sql_facts, limits)
        with live.open(system.snapshot) as session:
            yield session
        live.close()
    else:
        from mismartera.sql.catalog.open_catalog import open_catalog

        stored = open_catalog(
            where.catalog, session_date=where.session_date, exchange_group=where.exchange, limits=limits
        )
        with stored:
            if where.session_date is not None:
                stored.require_stored()
            yield stored


def _answer_all(session: SqlSession, text: str, form: str, output: Path | None, plot: str | None) -> None:
    from mismartera.sql.script import split_script

    pieces = split_script(text)
    commands = [piece for piece in pieces if piece.startswith(".")]
    if not pieces:
        raise click.UsageError("no query: write one, or name a ready one such as @worst_quality")
    if output is not None or form not in ("", "table"):
        if commands:
            raise click.UsageError(f"{commands[0]} prints text to read: leave out --format and -o")
        if len(pieces) > 1:
            raise click.UsageError(f"{len(pieces)} statements, but one file or stream to write: give one at a time")
    for piece in pieces:
        if piece.startswith("."):
            if not run_command(piece):
                return
            continue
        answer = interruptible(partial(session.query, expand(piece)), session.interrupt)
        if plot is not None:
            plot_answer(answer, plot)
        else:
            write_answer(answer, form, output)
