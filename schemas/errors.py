"""Every error the package raises on purpose, under one root.

A message says what was expected, what it was, where, and what to do; the objects it speaks of are attributes.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence


class MismarteraError(Exception):
    """Root of every error the package raises on purpose.

    Attributes
    ----------
    hint : str or None
        What to do next, in a sentence; the command line prints it below the message.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class IntervalError(MismarteraError, ValueError):
    """A text or number that names no interval."""

    def __init__(self, value: object) -> None:
        super().__init__(
            f"interval {value!r} is not one: expected a positive whole number of minutes such as 5, "
            "or a number and one of s, m, h, d such as '30s', '5m', '1h', '1d'"
        )
        self.value = value


class ConfigError(MismarteraError, ValueError):
    """A session configuration that cannot be used. `problems` holds one line per wrong field."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        lines = "; ".join(problems)
        super().__init__(f"{source}: {lines}", hint="'mismartera config schema' lists every field and what it allows")
        self.source = source
        self.problems = list(problems)


class UnknownNameError(MismarteraError, LookupError):
    """A symbol, interval, consumer, … that does not exist. `available` holds those that do."""

    def __init__(self, kind: str, name: object, available: Sequence[str], *, hint: str | None = None) -> None:
        close = difflib.get_close_matches(str(name), available, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        super().__init__(f"{kind} {name!r} does not exist{meant} {_listing(kind, available)}", hint=hint)
        self.kind = kind
        self.name = name
        self.available = list(available)


class CatalogError(MismarteraError, OSError):
    """A catalog that is absent, or a file of it that cannot be read."""

    def __init__(self, message: str, *, path: object = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path


class ImportDataError(MismarteraError, ValueError):
    """A source file that cannot be imported as it was described."""

    def __init__(self, message: str, *, path: object = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path


class CalendarError(MismarteraError, ValueError):
    """A date or window for which the exchange's calendar has no answer."""


class StateError(MismarteraError, RuntimeError):
    """An operation the present state does not allow, such as pausing what does not run."""


class DataError(MismarteraError, ValueError):
    """Rows given to the engine that it cannot hold."""


class ExportError(MismarteraError, OSError):
    """An export that could not be delivered; the consumer's cursor did not move."""


class NotAnExportError(MismarteraError, ValueError):
    """A file or folder that is not an export, or a damaged one."""

    def __init__(self, path: object, problem: str, *, hint: str | None = None) -> None:
        super().__init__(f"{path} is no export: {problem}", hint=hint)
        self.path = path


class ConsumerError(MismarteraError, ValueError):
    """Exports of several consumers where those of one are expected. `consumers` holds their names."""

    def __init__(self, consumers: Sequence[str]) -> None:
        names = ", ".join(consumers)
        super().__init__(f"exports of {len(consumers)} consumers: {names}", hint="name one with --consumer")
        self.consumers = list(consumers)


class ChainError(MismarteraError, ValueError):
    """An export that does not follow the ones before it. `expected` and `found` are sequences, where they are wrong.

    Attributes
    ----------
    path : object
    expected, found : int or None
    """

    def __init__(
        self,
        path: object,
        problem: str,
        *,
        expected: int | None = None,
        found: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(f"{path}: {problem}", hint=hint)
        self.path = path
        self.expected = expected
        self.found = found


def _listing(kind: str, available: Sequence[str], most: int = 12) -> str:
    if not available:
        return f"(there is no {kind} at all)"
    shown = ", ".join(available[:most])
    more = f", … {len(available) - most} more" if len(available) > most else ""
    return f"(available: {shown}{more})"
