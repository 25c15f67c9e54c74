"""The words of a line at the shell's prompt: which command they lead to, and ``key=value`` as options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

_KEY = re.compile(r"[A-Za-z][A-Za-z_-]*")
_SWITCHES = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_SHORT = {"1": True, "t": True, "y": True, "0": False, "f": False, "n": False}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the words of a line lead.

    Attributes
    ----------
    ctx : click.Context
        Of the last command they name.
    before : list of str
        The words up to there.
    rest : list of str
        The words after: that command's own.
    """

    ctx: click.Context
    before: list[str]
    rest: list[str]

    @property
    def options(self) -> list[click.Option]:
        """The command's options."""
        return [param for param in self.ctx.command.get_params(self.ctx) if isinstance(param, click.Option)]

    def option(self, word: str) -> click.Option | None:
        """Return the option that `word`, such as ``--symbol``, names."""
        return next((option for option in self.options if word in (*option.opts, *option.secondary_opts)), None)


def resolve(root: click.Group, words: Sequence[str]) -> Place:
    """Follow words from group to group down to a command."""
    ctx = click.Context(root, info_name="", resilient_parsing=True, **root.context_settings)
    at = 0
    while at < len(words) and isinstance(ctx.command, click.Group):
        if not words[at].startswith("-"):
            below = ctx.command.get_command(ctx, words[at])
            if below is None:
                break
            ctx = click.Context(below, info_name=words[at], parent=ctx, resilient_parsing=True)
        at += 1
    return Place(ctx, list(words[:at]), list(words[at:]))


def takes_value(option: click.Option | None) -> bool:
    """Return whether the word after an option belongs to it."""
    return option is not None and not option.is_flag and not option.count


def as_options(root: click.Group, words: Sequence[str], defaults: Mapping[str, str]) -> list[str]:
    """Write ``key=value`` as ``--key value`` where the command has such an option, and add options left out.

    Parameters
    ----------
    root : click.Group
    words : sequence of str
        A line's words.
    defaults : mapping
        Values by parameter name, given to a command that has the option and was called without it.

    Raises
    ------
    click.BadParameter
        If a flag's value is neither true nor false.

    Notes
    -----
    A flag is switched by true or false: ``complete=false`` of ``--complete/--delta`` becomes ``--delta``, and so does
    ``--complete false``. Values of options and words after ``--`` stay as they are.
    """
    place = resolve(root, words)
    turned: list[str] = []
    inside_value = ended = False
    flag = ""
    for word in place.rest:
        ended = ended or (word == "--" and not inside_value)
        named = None if inside_value or ended else place.option(word)
        if inside_value or ended:
            turned.append(word)
        elif flag and word.lower() in _SWITCHES:
            turned[-1:] = _as_option(place, f"{flag}={word}")
        else:
            turned += _as_option(place, word)
        inside_value = takes_value(named)
        flag = word.removeprefix("--") if named is not None and named.is_flag and word.startswith("--") else ""
    added = [
        f"{option.opts[0]}={defaults[option.name]}"
        for option in place.options
        if option.name in defaults and not any(word.split("=")[0] in option.opts for word in turned)
    ]
    return [*place.before, *added, *turned]


def _as_option(place: Place, word: str) -> list[str]:
    key, equals, value = word.partition("=")
    name = f"--{key.replace('_', '-')}"
    option = place.option(name) if equals and key and not key.startswith("-") else None
    if option is None:
        if equals and _KEY.fullmatch(key) and not isinstance(place.ctx.command, click.Group):
            known = [long for held in place.options for long in held.opts if long.startswith("--")]
            raise click.NoSuchOption(name, possibilities=known, ctx=place.ctx)
        return [word]
    if takes_value(option):
        return [f"{name}={value}"]
    switched = (_SWITCHES | _SHORT).get(value.strip().lower())
    if switched is None:
        raise click.BadParameter(f"expected true or false, it was {value!r}", place.ctx, option)
    return list((option.opts if switched == (name in option.opts) else option.secondary_opts)[:1])
