"""The `mismartera` command: its subcommands, imported when they are called, and what every error looks like."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import click

from mismartera.schemas.errors import MismarteraError

from .console import logs_to_stderr

EXIT_ERROR = 1
"""Something asked for could not be done; the message says what."""
EXIT_INTERNAL = 70
"""A fault of the program itself (EX_SOFTWARE of sysexits.h)."""
EXIT_INTERRUPTED = 130
"""Ctrl-C: 128 + SIGINT, as shells count."""


@dataclass(slots=True)
class Globals:
    """Options that hold for every command; ``ctx.obj`` of each."""

    verbose: bool = False


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a subcommand lives (``"module:object"``) and its line in the help."""

    target: str
    short_help: str

    def load(self) -> click.Command:
        """Import the module and return the command."""
        module, _, name = self.target.partition(":")
        return cast(click.Command, getattr(importlib.import_module(module), name))


class LazyGroup(click.Group):
    """A group that knows its subcommands' names and help, and imports each only when it is called.

    Notes
    -----
    ``mismartera --help`` answers in a tenth of a second because of it: polars, pyarrow and duckdb alone take longer.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, LazyCommand], **options: Any) -> None:
        super().__init__(*args, **options)
        self.lazy = dict(lazy)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all subcommands, in the order they were given."""
        return [*self.lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a subcommand; None if there is none of that name."""
        found = self.lazy.get(cmd_name)
        return found.load() if found else super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand named first in `args`; for an unknown one, name the nearest."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=self.list_commands(ctx), ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the subcommands' lines without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.short_help) for name, command in self.lazy.items()])


class RootGroup(LazyGroup):
    """The outermost group: turns every error into one line and an exit code."""

    def main(  # type: ignore[override]  # click's overloads tell Never from Any by standalone_mode
        self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **extra: Any
    ) -> Any:
        """Run as click does, but exit with the package's messages and codes.

        With ``standalone_mode=False`` errors are raised as they are.
        """
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **{"obj": Globals(), **extra})
        sys.exit(self.run(args, **extra))

    def run(self, args: Sequence[str] | None = None, *, obj: Globals | None = None, **extra: Any) -> int:
        """Run as `main` does, but return the exit code."""
        settings = Globals() if obj is None else obj
        words = _global_options_first(list(sys.argv[1:] if args is None else args))
        try:
            result = super().main(words, **{"prog_name": "mismartera", **extra}, standalone_mode=False, obj=settings)
            sys.stdout.flush()  # here, where a closed pipe can still be handled
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            return error.exit_code
        except click.ClickException as error:
            _say_click_error(error)
            return error.exit_code
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            return EXIT_INTERRUPTED
        except MismarteraError as error:
            _say_error(error, verbose=settings.verbose)
            return EXIT_ERROR
        except BrokenPipeError:
            _drop_output()
            return EXIT_ERROR
        except Exception as error:  # noqa: BLE001 - the outermost frame: nothing is swallowed, it becomes a line and a code
            _say_internal_error(error, verbose=settings.verbose)
            return EXIT_INTERNAL
        return result if isinstance(result, int) else 0


def _global_options_first(words: list[str]) -> list[str]:
    """Move ``--verbose`` to the front: whoever repeats a failed command adds it at the end."""
    end = words.index("--") if "--" in words else len(words)
    if "--verbose" not in words[1:end]:
        return words
    return ["--verbose", *(word for word in words[:end] if word != "--verbose"), *words[end:]]


def _say_click_error(error: click.ClickException) -> None:
    text = error.format_message()
    click.echo(f"error: {text[:1].lower()}{text[1:]}", err=True)
    context = getattr(error, "ctx", None)
    if context is not None:
        click.echo(f"hint: '{f'{context.command_path} --help'.strip()}' lists what there is", err=True)


def _say_error(error: MismarteraError, *, verbose: bool) -> None:
    if verbose:
        _say_traceback(error)
    click.echo(f"error: {error}", err=True)
    if error.hint:
        click.echo(f"hint: {error.hint}", err=True)


def _say_internal_error(error: Exception, *, verbose: bool) -> None:
    if verbose:
        _say_traceback(error)
    click.echo(f"internal error: {type(error).__name__}: {error}", err=True)
    if not verbose:
        click.echo("run again with --verbose for the traceback", err=True)


def _say_traceback(error: BaseException) -> None:
    import traceback

    click.echo("".join(traceback.format_exception(error)).rstrip(), err=True)


def _drop_output() -> None:
    """Point standard output at nothing, so that the interpreter's own flush at exit does not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


COMMANDS = {
    "demo": LazyCommand("mismartera.cli.demo:demo_command", "See it work: make up bars, run a session, export it."),
    "backtest": LazyCommand("mismartera.cli.backtest:backtest_group", "Run sessions over bars of the catalog."),
    "config": LazyCommand("mismartera.cli.config:config_group", "Write, check and describe session configurations."),
    "data": LazyCommand("mismartera.cli.data:data_group", "Import, list, make up and verify the catalog's bars."),
    "sql": LazyCommand("mismartera.cli.sql:sql_command", "Ask a session, its exports or the catalog with SQL."),
    "shell": LazyCommand("mismartera.cli.shell:shell_command", "Work with a running session at a prompt."),
    "export": LazyCommand("mismartera.cli.export:export_group", "Show, check and replay exports."),
}

HELP = """Hold the whole state of a trading session in memory, as columns: stream bars of many symbols, watch and export
all of it at almost no cost.

\b
First commands, to copy:
  mismartera demo                        a whole run on made-up bars
  mismartera config init session.json    write a configuration to start from
  mismartera config validate session.json
  mismartera data import bars.csv --format csv --interval 1m --symbol SPY
  mismartera backtest run session.json

Each command explains itself: mismartera COMMAND --help
"""


@click.group(
    "mismartera",
    cls=RootGroup,
    lazy=COMMANDS,
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("-v", "--verbose", is_flag=True, help="Show what is being done, and tracebacks of errors.")
@click.version_option(package_name="mismartera", message="%(prog)s %(version)s", help="Show the version and exit.")
@click.pass_context
def cli(ctx: click.Context, verbose: bool) -> None:
    """Set up what holds for every command."""
    ctx.ensure_object(Globals).verbose = verbose
    ctx.with_resource(logs_to_stderr(verbose=verbose))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after ``mismartera``; by default those the process was started with.

    Returns
    -------
    int
        0 done; 1 an error, told in one line; 2 wrong usage; 70 a fault of the program; 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without, say, a dash in its encoding gets a ? for it
            stream.reconfigure(errors="replace")
    try:
        cli.main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
