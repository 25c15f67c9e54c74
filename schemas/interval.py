"""`Interval`: the length of a bar, as people write it and as the engine computes with it."""

from __future__ import annotations

import re
from functools import total_ordering
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from .errors import IntervalError

_UNIT_US = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_PATTERN = re.compile(r"([1-9][0-9]{0,5})([smhd]?)", re.ASCII)
_MOST_MINUTES = 999_999


@total_ordering
class Interval:
    """The length of a bar.

    Parameters
    ----------
    value : Interval, int or str
        A whole number means minutes (``5`` is ``"5m"``); a text is a number and ``s``, ``m``, ``h`` or ``d``.

    Raises
    ------
    IntervalError
        If `value` names no interval.

    Notes
    -----
    The text is normalised to the largest unit below a day that divides the length, and to days where those do:
    ``"60m"`` is ``"1h"``, ``"90m"`` stays ``"90m"``, ``"24h"`` is ``"1d"``. Intervals are immutable, hash and order
    by length. A day stands for one trading session, whatever its hours.

    Examples
    --------
    >>> Interval(5), Interval("60m"), Interval("1d")
    (Interval('5m'), Interval('1h'), Interval('1d'))
    >>> Interval("5m") < Interval("1h"), Interval("1m").divides("5m")
    (True, True)
    """

    __slots__ = ("text", "us")

    text: str
    us: int

    def __init__(self, value: Interval | int | str) -> None:
        us = _parse(value)
        object.__setattr__(self, "us", us)
        object.__setattr__(self, "text", _text(us))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an Interval is immutable: {name} cannot be set")

    @property
    def is_daily(self) -> bool:
        """Whether a bar spans whole sessions; its rows carry dates, not times."""
        return self.us >= _UNIT_US["d"]

    def divides(self, other: Interval | int | str) -> bool:
        """Return whether whole bars of this length make up one bar of length `other`."""
        return Interval(other).us % self.us == 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Interval) and self.us == other.us

    def __lt__(self, other: object) -> bool:
        return self.us < other.us if isinstance(other, Interval) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.us)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Interval({self.text!r})"

    def __reduce__(self) -> tuple[type[Interval], tuple[str]]:
        return Interval, (self.text,)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": _MOST_MINUTES, "description": "minutes"},
                {"type": "string", "pattern": "^[1-9][0-9]{0,5}[smhd]?$"},
            ],
            "examples": ["1m", "5m", "1h", "1d", 5],
        }


def _parse(value: object) -> int:
    if isinstance(value, Interval):
        return value.us
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST_MINUTES:
        return value * _UNIT_US["m"]
    if isinstance(value, str):
        match = _PATTERN.fullmatch(value.strip())
        if match:
            return int(match[1]) * _UNIT_US[match[2] or "m"]
    raise IntervalError(value)


def _text(us: int) -> str:
    for unit in "dhms":
        if us % _UNIT_US[unit] == 0:
            return f"{us // _UNIT_US[unit]}{unit}"
    raise IntervalError(us)
