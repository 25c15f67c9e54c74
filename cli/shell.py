"""`mismartera shell`: a prompt around a running session, and scripts of its lines on standard input."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .console import catalog_option, say
from .main import COMMANDS, EXIT_INTERRUPTED, Globals, LazyCommand, RootGroup
from .shell_state import ShellState
from .words import as_options, resolve

if TYPE_CHECKING:
    from prompt_toolkit.history import History

PROMPT = "system@mismartera: "
_BOM = "\ufeff"  # what some editors begin a file with
_EXIT_USAGE = 2
_NOT_HERE = ("shell", "demo")

SHELL_COMMANDS = {
    "system": LazyCommand("mismartera.cli.system:system_group", "Start a session, watch it, export it, stop it."),
    **{name: command for name, command in COMMANDS.items() if name not in _NOT_HERE},
    "help": LazyCommand("mismartera.cli.shell:help_command", "Explain the shell, or a command."),
    "exit": LazyCommand("mismartera.cli.shell:exit_command", "Stop the session and leave; as Ctrl-D does."),
}

HELP = """Work with a session that runs in the background: 'system start' starts it, and the prompt stays usable.

\b
First lines, to copy:
  system start session.json speed=60     start a session, a minute of the market a second
  system wait 5m                         wait until five minutes of the market have passed
  system status                          what it is doing
  system export-status complete=true     write its whole state
  system export-status complete=false    write what is new since
  system json                            what changed since the last time, on the screen
  system stop                            end it; its state can still be read and exported
  exit                                   stop what runs, and leave

Each command explains itself: COMMAND --help, or help COMMAND. Options may be written --key value or key=value.

All commands but system, help and exit are those of mismartera, and work on the shell's catalog unless told another.
"""


class ShellGroup(RootGroup):
    """The shell's commands: those of `mismartera`, with ``key=value`` for options and the shell's own catalog."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Write a line's words as click wants them, and parse them."""
        state = ctx.find_object(ShellState)
        defaults = {} if state is None else {"catalog": str(state.catalog)}
        return super().parse_args(ctx, as_options(self, args, defaults))

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write how a line is made: the shell itself has no name to begin it with."""
        formatter.write_usage("COMMAND", "[OPTIONS] [ARGS]...")


@click.group(
    "shell",
    cls=ShellGroup,
    lazy=SHELL_COMMANDS,
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("-v", "--verbose", is_flag=True, help="Show tracebacks of errors; may stand at the end of a line too.")
@click.pass_obj
def shell_group(state: ShellState, verbose: bool) -> None:
    """Set up what holds for a line."""
    state.verbose = verbose


@click.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
def help_command(words: tuple[str, ...]) -> None:
    """Explain the shell, or COMMAND.

    \b
    Examples:
      help
      help system export-status
    """
    place = resolve(shell_group, words)
    if place.rest:
        group = place.ctx.command
        names = group.list_commands(place.ctx) if isinstance(group, click.Group) else []
        raise click.NoSuchCommand(place.rest[0], possibilities=names, ctx=place.ctx)
    with place.ctx:
        say(place.ctx.get_help())


@click.command("exit")
@click.pass_obj
def exit_command(state: ShellState) -> None:
    """Stop the session and leave the shell; Ctrl-D does the same.

    \b
    Example:
      exit
    """
    state.leaving = True


@click.command("shell")
@click.argument("config", required=False, type=click.Path(path_type=Path))
@catalog_option
@click.pass_context
def shell_command(ctx: click.Context, config: Path | None, catalog: Path) -> None:
    """Work with a running session at a prompt; CONFIG is what 'system start' starts.

    The commands are those of mismartera and 'system', whose session streams in the background while the prompt
    stays usable. The tab key completes commands, options, symbols, intervals and files. Ctrl-C clears the line or
    ends the command at work; Ctrl-D and exit stop the session and leave.

    Lines on a pipe work as a script: each is shown before its output, an error does not end it, and the exit code is
    1 if any line failed.

    \b
    Examples:
      mismartera shell session.json
      printf 'system start speed=600\\nsystem wait 10:00\\nsystem export-status\\n' | mismartera shell session.json
    """
    if config is not None:
        from .config import read_config

        read_config(config)
    outer = ctx.find_object(Globals)
    shell = Shell(ShellState(config=config, catalog=catalog), verbose=outer is not None and outer.verbose)
    try:
        code = shell.converse() if sys.stdin.isatty() else shell.run_script()
    finally:
        shell.state.close()
    ctx.exit(code)


class Shell:
    """Takes lines and runs them, one after another, on one session.

    Parameters
    ----------
    state : ShellState
    verbose : bool
        Whether errors of every line are shown with their tracebacks.
    """

    def __init__(self, state: ShellState, *, verbose: bool = False) -> None:
        self.state = state
        self._always = ["--verbose"] if verbose else []

    def run_line(self, line: str) -> int:
        """Run one line and return its exit code, as `mismartera.cli.main.main` does. Errors are told, not raised."""
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            click.echo(f"error: the line cannot be read: {str(error).lower()}", err=True)
            return _EXIT_USAGE
        if not words:
            return 0
        self.state.verbose = False
        return shell_group.run([*self._always, *words], obj=self.state, prog_name="")

    def run_script(self) -> int:
        """Run the lines of standard input and return 0, 1 if any of them failed, or 130 if Ctrl-C ended it."""
        failed = False
        for line in (text.removeprefix(_BOM) for text in sys.stdin):
            if line.strip():
                say(f"{PROMPT}{line.strip()}")
            code = self.run_line(line)
            if code == EXIT_INTERRUPTED:
                return code
            failed = failed or code != 0
            if self.state.leaving:
                break
        return int(failed)

    def converse(self) -> int:
        """Prompt for lines until ``exit`` or Ctrl-D, and return 0."""
        say("help explains the commands, the tab key completes them, Ctrl-D leaves.")
        for line in self._typed_lines():
            self.run_line(line)
        return 0

    def _typed_lines(self) -> Iterator[str]:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.patch_stdout import patch_stdout

        from .completion import ShellCompleter

        session: PromptSession[str] = PromptSession(
            history=_history(), completer=ShellCompleter(shell_group, self.state), complete_in_thread=True
        )
        while not self.state.leaving:
            streamed = self.state.streaming
            try:
                with patch_stdout():
                    line = session.prompt(PROMPT, complete_while_typing=False)
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if streamed and not self.state.streaming:
                say(f"the session is {self.state.require().state.value} by now: system status tells more")
            yield line


def history_path() -> Path:
    """Return the file that keeps the lines typed: below ``$XDG_STATE_HOME``, by default ``~/.local/state``."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "mismartera" / "shell_history"


def _history() -> History:
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    path = history_path()
    with suppress(OSError):  # without a place to keep them, lines last as long as the shell does
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        if os.access(path, os.R_OK | os.W_OK):
            return FileHistory(path)
    return InMemoryHistory()
