"""What commands share to talk to a person: progress, tables, lines, common options. Rich is imported when used."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import click

Align = Literal["left", "right", "center"]
_Command = TypeVar("_Command", bound=Callable[..., Any])


class ProgressUpdate(Protocol):
    """Tells how far a piece of work is."""

    def __call__(self, done: int, total: int, text: str = "") -> None:
        """Show `done` of `total` units, and in `text` what is being worked on; `total` may change."""


def say(text: str = "") -> None:
    """Print one line to standard output."""
    click.echo(text)


@contextmanager
def progress(description: str) -> Iterator[ProgressUpdate]:
    """Show a progress bar on standard error while the block runs; it vanishes at the end.

    Parameters
    ----------
    description : str
        What is going on, such as ``"Importing"``.

    Yields
    ------
    ProgressUpdate
        Call it as ``update(done, total, text="")``. Does nothing where standard error is no terminal.

    Notes
    -----
    An update costs microseconds: a thread of rich draws ten times a second, however often it is called.

    Examples
    --------
    >>> with progress("Importing") as update:
    ...     for done in range(3):
    ...         update(done + 1, 3, "2025-07-02")
    """
    if not sys.stderr.isatty():
        yield _no_update
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(description, total=None, text="")

        def update(done: int, total: int, text: str = "") -> None:
            bar.update(task, completed=done, total=total, text=text)

        yield update


def _no_update(done: int, total: int, text: str = "") -> None:
    """Show nothing."""


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    align: Sequence[Align] | None = None,
) -> None:
    """Print a table to standard output: fitted to a terminal, in full and without colour into a pipe.

    Parameters
    ----------
    title : str
        Line above the table; empty for none.
    columns : sequence of str
        Headings.
    rows : sequence of sequences
        Cells. Texts stand as they are; whole numbers get thousands separators, floats two decimals as well; None is
        a dash, a bool yes or no.
    align : sequence of {"left", "right", "center"}, optional
        One per column. By default columns of numbers alone stand right, others left.

    Examples
    --------
    >>> table("Sessions", ["date", "bars"], [["2025-07-01", 1170]])  # doctest: +NORMALIZE_WHITESPACE
    Sessions
     date          bars
    ────────────────────
     2025-07-01   1,170
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    sides = align or [_side([row[place] for row in rows]) for place in range(len(columns))]
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=True, header_style="bold")
    for heading, side in zip(columns, sides, strict=True):
        drawn.add_column(heading, justify=side, overflow="fold")
    for row in rows:
        drawn.add_row(*(_cell(value) for value in row))
    console = Console(file=sys.stdout, markup=False, emoji=False, highlight=False, soft_wrap=False)
    if not console.is_terminal:  # a pipe has no width: a cell is never cut or folded there
        console = Console(file=sys.stdout, markup=False, emoji=False, highlight=False, width=_full_width(drawn))
    if title:
        console.print(title, style="bold", soft_wrap=True)
    console.print(drawn)


def _full_width(drawn: Any) -> int:
    from rich.console import Console

    endless = Console(width=1_000_000, markup=False, emoji=False)
    return max(1, int(endless.measure(drawn).maximum))


def _side(values: Sequence[object]) -> Align:
    numbers = [value for value in values if value is not None]
    right = numbers and all(isinstance(value, int | float) and not isinstance(value, bool) for value in numbers)
    return "right" if right else "left"


def _cell(value: object) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.2f}"
        case _:
            return str(value)


def catalog_option(command: _Command) -> _Command:
    """Give a command the option ``--catalog DIR``, passed to it as ``catalog: Path``."""
    option = click.option(
        "--catalog",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="MISMARTERA_CATALOG",
        default=Path("data/catalog"),
        show_default=True,
        show_envvar=True,
        metavar="DIR",
        help="Folder of the Parquet catalog.",
    )
    return option(command)


class EchoHandler(logging.Handler):
    """A log handler that writes to whatever standard error is at that moment, beside a progress bar too."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as a line."""
        click.echo(self.format(record), err=True)


@contextmanager
def logs_to_stderr(*, verbose: bool) -> Iterator[None]:
    """Show the package's warnings on standard error while the block runs; when `verbose`, everything it logs."""
    handler = EchoHandler()
    form = "%(asctime)s %(levelname)-7s %(name)s: %(message)s" if verbose else "%(levelname)s: %(message)s"
    handler.setFormatter(logging.Formatter(form))
    logger = logging.getLogger("mismartera")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
