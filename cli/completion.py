"""What the tab key offers at the shell's prompt: commands, options, symbols, intervals, consumers, files."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

import click
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from mismartera.schemas.errors import MismarteraError

from .shell_state import ShellState
from .words import Place, resolve, takes_value

_USUAL_INTERVALS = ("1s", "1m", "5m", "15m", "30m", "1h", "1d", "ticks", "quotes")
Offer = tuple[str, str]


class ShellCompleter(Completer):
    """Completes lines of the shell from the click commands themselves.

    Parameters
    ----------
    root : click.Group
        The shell's commands.
    state : ShellState
        Whose session and catalog the symbols are of.
    """

    def __init__(self, root: click.Group, state: ShellState) -> None:
        self._root = root
        self._state = state
        self._of_catalog: list[str] | None = None

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Yield what the word at the cursor may become, each with its help."""
        words, raw = split_last(document.text_before_cursor)
        partial = unquoted(raw)
        place = resolve(self._root, words)
        # Repeated for the words' own quoting: what has a space in it is quoted as a whole.
        for text, told in self._offers(place, partial):
            yield Completion(shlex.quote(text), start_position=-len(raw), display=text, display_meta=told)

    def _offers(self, place: Place, partial: str) -> Iterator[Offer]:
        if isinstance(place.ctx.command, click.Group):
            if not place.rest:
                yield from _commands(place.ctx, partial)
                yield from _options(place, partial)
            return
        pending = place.option(place.rest[-1]) if place.rest else None
        if pending is not None and takes_value(pending):
            yield from self._values(place, pending, partial)
            return
        key, equals, value = partial.partition("=")
        option = place.option(f"--{key.lstrip('-').replace('_', '-')}") if equals else None
        if option is not None:
            yield from ((f"{key}={text}", told) for text, told in self._values(place, option, value))
            return
        argument = _argument(place)
        if argument is not None and not partial.startswith("-"):
            yield from self._values(place, argument, partial)
        yield from _options(place, partial)

    def _values(self, place: Place, param: click.Parameter, partial: str) -> Iterator[Offer]:
        if isinstance(param, click.Option) and param.is_flag:
            yield from ((text, "") for text in ("true", "false") if text.startswith(partial))
            return
        if param.name == "words":
            yield from _commands(resolve(self._root, place.rest).ctx, partial)
            return
        names = self._names(param)
        if names is not None:
            held, comma, last = partial.rpartition(",")
            yield from ((f"{held}{comma}{name}", "") for name in names if name.startswith(last))
            return
        for item in param.shell_complete(place.ctx, partial):
            if item.type in ("file", "dir"):
                yield from _paths(partial, only_folders=item.type == "dir")
            else:
                yield item.value, item.help or ""

    def _names(self, param: click.Parameter) -> list[str] | None:
        """Return the names a parameter takes; None if its type knows better."""
        match param.name:
            case "symbol" | "symbols":
                return self._symbols()
            case "interval" | "intervals":
                return self._intervals()
            case "consumer":
                system = self._state.system
                return ["default"] if system is None else [info.name for info in system.list_consumers()]
        return None

    def _symbols(self) -> list[str]:
        """Return the session's symbols; without a session those of the catalog, which are read once."""
        if self._state.system is not None:
            return sorted(self._state.system.session_data.symbols)
        if self._of_catalog is None:
            from mismartera.engine.data.catalog import Catalog

            catalog = Catalog(self._state.catalog)
            try:
                self._of_catalog = sorted({name for kind in catalog.kinds() for name in catalog.symbols(kind)})
            except MismarteraError:  # whoever works with a damaged catalog is told; a press of the tab key is no work
                self._of_catalog = []
        return self._of_catalog

    def _intervals(self) -> list[str]:
        if self._state.system is None:
            return list(_USUAL_INTERVALS)
        snapshot = self._state.system.snapshot
        return list(dict.fromkeys([*snapshot.logs, *snapshot.history.intervals]))


def split_last(text: str) -> tuple[list[str], str]:
    """Return the words before the last one, and the last one as it was typed; empty after a space.

    Examples
    --------
    >>> split_last("export show 'my fi")
    (['export', 'show'], "'my fi")
    >>> split_last("system ")
    (['system'], '')
    """
    start, quote, escaped = 0, "", False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char.isspace():
            start = at + 1
    return shlex.split(text[:start]), text[start:]


def unquoted(raw: str) -> str:
    """Return what a word that is still being typed says, its quotes and backslashes taken away."""
    for closing in ("", "\\", "'", '"'):
        try:
            return "".join(shlex.split(raw + closing))
        except ValueError:
            continue
    return raw


def _commands(ctx: click.Context, partial: str) -> Iterator[Offer]:
    group = ctx.command
    if isinstance(group, click.Group):
        for name in group.list_commands(ctx):
            if name.startswith(partial):
                yield name, _short_help(group, ctx, name)


def _short_help(group: click.Group, ctx: click.Context, name: str) -> str:
    lazy = getattr(group, "lazy", {}).get(name)
    if lazy is not None:
        return str(lazy.short_help)
    command = group.get_command(ctx, name)
    return command.get_short_help_str(80) if command else ""


def _options(place: Place, partial: str) -> Iterator[Offer]:
    """Yield options not given yet: once a dash is typed, or where nothing else is left to be typed."""
    if partial and not partial.startswith("-"):
        return
    given = {word.split("=")[0] for word in place.rest}
    for option in place.options:
        names = [*option.opts, *option.secondary_opts]
        if option.hidden or (given & set(names) and not option.multiple):
            continue
        for name in names:
            if name.startswith(partial) and name.startswith("--"):
                yield name, (option.help or "").split("\n")[0]


def _argument(place: Place) -> click.Argument | None:
    """Return the argument whose turn it is."""
    arguments = [param for param in place.ctx.command.params if isinstance(param, click.Argument)]
    taken = 0
    skip = False
    for word in place.rest:
        option = place.option(word.split("=")[0])
        keyed = "=" in word and place.option(f"--{word.partition('=')[0].replace('_', '-')}") is not None
        if not (skip or keyed or word.startswith("-")):
            taken += 1
        skip = not skip and "=" not in word and takes_value(option)
    for argument in arguments:
        if argument.nargs == -1 or taken < argument.nargs:
            return argument
        taken -= argument.nargs
    return None


def _paths(partial: str, *, only_folders: bool) -> Iterator[Offer]:
    for found in PathCompleter(only_directories=only_folders).get_completions(Document(partial), CompleteEvent()):
        yield partial + found.text, ""
