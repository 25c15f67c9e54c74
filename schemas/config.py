"""`SessionConfig`: everything that says what a session holds. JSON on disk, validated here, immutable after."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict

from .config_problems import field_problem, problems
from .errors import ConfigError
from .exchanges import EXCHANGE_GROUPS
from .indicators import INDICATOR_TYPES
from .interval import Interval

BarField = Literal["open", "high", "low", "close", "volume"]
if TYPE_CHECKING:
    IndicatorName: TypeAlias = str
else:  # so that an error lists them, and the JSON Schema too
    IndicatorName = Literal[tuple(INDICATOR_TYPES)]

HISTORY_KEYS = ("loaded", "date_range", "data")
"""Keys of a symbol's history in an export, beside which its indicators stand."""

_EVENTS = ("ticks", "quotes")
_DAY = Interval("1d")
_LONGEST_NAME = 100  # bytes; a file's name has 255, of which stamps and suffixes take up to 140
_DEFAULT_DERIVED: JsonDict = {"default": ["5m", "15m"]}  # a default of Intervals, as the JSON Schema says it
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _iso_date(value: object) -> dt.date:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        return dt.date.fromisoformat(value)
    raise ValueError("no date as YYYY-MM-DD")


def _stream(value: Any) -> str:
    return str(value) if value in _EVENTS else Interval(value).text


# A config says what it means: no number as text, no 1 for true, no seconds since 1970 for a date.
Flag: TypeAlias = Annotated[bool, Strict()]
Count: TypeAlias = Annotated[int, Strict()]
Day: TypeAlias = Annotated[dt.date, BeforeValidator(_iso_date)]
TrailingDays: TypeAlias = Annotated[int, Strict(), Field(ge=1, le=5000)]
Symbol: TypeAlias = Annotated[str, Field(min_length=1, max_length=64)]
Stream: TypeAlias = Annotated[
    str,
    BeforeValidator(_stream),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 1, "description": "minutes"}, {"type": "string"}],
            "examples": ["1m", "1s", *_EVENTS],
        }
    ),
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class BacktestConfig(_Model):
    """The window a backtest runs over, and how fast."""

    start_date: Day = Field(description="First day of the window; sessions are taken from the exchange's calendar.")
    end_date: Day = Field(description="Last day of the window, included.")
    prefetch_days: Annotated[Count, Field(ge=0, le=30)] = Field(
        default=1, description="Sessions staged ahead while one streams. 0 stages each when its turn comes."
    )
    speed_multiplier: Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)] = Field(
        default=0.0, description="Market seconds per wall-clock second; 0 runs as fast as the machine can."
    )

    @model_validator(mode="after")
    def _ordered(self) -> BacktestConfig:
        if self.end_date < self.start_date:
            raise field_problem(("end_date",), self.end_date, f"expected start_date, {self.start_date}, or a later day")
        return self


class HistoricalDataConfig(_Model):
    """One interval of history, kept for a number of sessions before the current one."""

    interval: Interval = Field(description="Bar interval to keep, at most a day.")
    trailing_days: TrailingDays = Field(description="Sessions (not calendar days) before the current one.")


class IndicatorConfig(_Model):
    """A figure computed from the history of each symbol when a session starts."""

    type: IndicatorName = Field(
        description=" ".join(f"{name}: {kind.meaning}." for name, kind in INDICATOR_TYPES.items())
    )
    field: BarField = Field(description="Column the indicator reads.")
    trailing_days: TrailingDays = Field(description="Sessions it looks back over.")

    @property
    def is_by_minute(self) -> bool:
        """Whether it has a value for each minute."""
        return INDICATOR_TYPES[self.type].by_minute


class HistoricalConfig(_Model):
    """What is kept of the sessions before the current one."""

    enabled: Flag = Field(default=True, description="Whether any history is loaded.")
    data: tuple[HistoricalDataConfig, ...] = Field(default=(), description="Intervals to keep, each with its window.")
    indicators: dict[str, IndicatorConfig] = Field(default_factory=dict, description="Indicators by name.")

    @field_validator("indicators")
    @classmethod
    def _names_free(cls, indicators: dict[str, IndicatorConfig]) -> dict[str, IndicatorConfig]:
        for name in indicators:
            if name in HISTORY_KEYS or not name.strip():
                raise field_problem((), name, f"expected a name for the indicator other than {', '.join(HISTORY_KEYS)}")
        return indicators

    @model_validator(mode="after")
    def _served(self) -> HistoricalConfig:
        seen: set[Interval] = set()
        for place, entry in enumerate(self.data):
            if entry.interval in seen:
                raise field_problem(("data", place, "interval"), str(entry.interval), "expected each interval once")
            if entry.interval > _DAY:
                reason = "expected an interval of at most a day"
                raise field_problem(("data", place, "interval"), str(entry.interval), reason)
            seen.add(entry.interval)
        for name, indicator in self.indicators.items():
            if self.enabled and self.interval_for(indicator) is None:
                need = "of 1m or less " if indicator.is_by_minute else ""
                raise field_problem(
                    ("indicators", name, "trailing_days"),
                    indicator.trailing_days,
                    f"{indicator.type} needs an entry in historical.data with an interval {need}"
                    f"and trailing_days of {indicator.trailing_days} or more",
                )
        return self

    def interval_for(self, indicator: IndicatorConfig) -> Interval | None:
        """Return the interval whose history serves `indicator`: the coarsest that is fine and long enough."""
        fits = [
            entry.interval
            for entry in self.data
            if entry.trailing_days >= indicator.trailing_days
            and (not indicator.is_by_minute or entry.interval.divides("1m"))
        ]
        return max(fits, default=None)


class QualityConfig(_Model):
    """Whether gaps are searched and quality is scored."""

    enabled: Flag = Field(default=True, description="When off, quality is null and no gap is listed.")


class SessionDataConfig(_Model):
    """Symbols, streams and what is made of them."""

    symbols: tuple[Symbol, ...] = Field(
        min_length=1, description="Symbols of the session, in the order they are registered."
    )
    streams: tuple[Stream, ...] = Field(
        default=("1m",),
        min_length=1,
        description="What is streamed: bar intervals, 'ticks', 'quotes'. A backtest streams the finest bar interval "
        "and derives the others from it.",
    )
    derived_intervals: tuple[Interval, ...] = Field(
        default_factory=lambda: (Interval("5m"), Interval("15m")),
        description="Intervals derived from the streamed bars.",
        json_schema_extra=_DEFAULT_DERIVED,
    )
    historical: HistoricalConfig = Field(
        default_factory=HistoricalConfig, description="History kept beside the session, and indicators of it."
    )
    quality: QualityConfig = Field(
        default_factory=QualityConfig, description="Search for gaps, and scoring of quality."
    )
    extended_hours: Flag = Field(
        default=False, description="Whether bars before the open and after the close belong to the session."
    )

    @field_validator("symbols")
    @classmethod
    def _symbols_once(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        for place, symbol in enumerate(symbols):
            if symbol != symbol.strip() or not symbol.isprintable():
                raise field_problem((place,), symbol, "expected no spaces around it and no control characters in it")
        if len(set(symbols)) < len(symbols):
            symbol, times = Counter(symbols).most_common(1)[0]
            last = len(symbols) - 1 - symbols[::-1].index(symbol)
            raise field_problem((last,), symbol, f"expected each symbol once; it is listed {times} times")
        return symbols

    @model_validator(mode="after")
    def _derivable(self) -> SessionDataConfig:
        if all(stream in _EVENTS for stream in self.streams):
            raise field_problem(("streams",), self.streams, 'expected at least one bar interval, such as "1m"')
        base = self.base_interval
        if base.is_daily:
            raise field_problem(("streams",), self.streams, "expected a bar interval of less than a day among them")
        for name, texts in (("streams", self.streams), ("derived_intervals", map(str, self.derived_intervals))):
            for place, text in enumerate(texts):
                if text not in _EVENTS and Interval(text) > _DAY:
                    raise field_problem((name, place), text, "expected an interval of at most a day")
                if text not in _EVENTS and not base.divides(text):
                    reason = f"expected a multiple of {base}, the finest stream, from which it is derived"
                    raise field_problem((name, place), text, reason)
        return self

    @property
    def base_interval(self) -> Interval:
        """The finest bar interval among the streams: the one a backtest streams."""
        return min(Interval(stream) for stream in self.streams if stream not in _EVENTS)

    @property
    def generated_intervals(self) -> tuple[Interval, ...]:
        """Intervals derived from the base interval, ascending."""
        coarser = {Interval(stream) for stream in self.streams if stream not in _EVENTS}
        return tuple(sorted((coarser | set(self.derived_intervals)) - {self.base_interval}))


class SessionConfig(_Model):
    """The whole configuration of a session.

    Examples
    --------
    >>> config = SessionConfig.model_validate({
    ...     "session_name": "Example",
    ...     "backtest_config": {"start_date": "2025-07-01", "end_date": "2025-07-03"},
    ...     "session_data_config": {"symbols": ["RIVN"], "streams": ["1m"], "derived_intervals": [5]},
    ... })
    >>> config.session_data_config.derived_intervals
    (Interval('5m'),)
    """

    session_name: Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME)] = Field(
        description="Names files and exports."
    )
    mode: Literal["backtest", "live"] = Field(default="backtest", description="Where the clock comes from.")
    exchange_group: str = Field(
        default="US_EQUITY",
        description="Whose calendar and time zone hold.",
        json_schema_extra={"enum": [*sorted(EXCHANGE_GROUPS)]},
    )
    asset_class: Literal["EQUITY", "ETF"] = Field(default="EQUITY", description="What is traded.")
    backtest_config: BacktestConfig | None = Field(default=None, description="The window; a backtest needs one.")
    session_data_config: SessionDataConfig = Field(
        description="What the session holds: symbols, streams, derived bars, history."
    )

    @field_validator("session_name")
    @classmethod
    def _name_is_a_file_name(cls, name: str) -> str:
        if any(character in '/\\:*?"<>|' for character in name) or not name.isprintable() or name != name.strip():
            reason = 'it names files: expected no / \\ : * ? " < > | in it, no control characters, no spaces around it'
            raise field_problem((), name, reason)
        if len(name.encode()) > _LONGEST_NAME:
            raise field_problem((), name, f"it names files: expected at most {_LONGEST_NAME} bytes in UTF-8")
        return name

    @field_validator("exchange_group")
    @classmethod
    def _group_known(cls, group: str) -> str:
        if group not in EXCHANGE_GROUPS:
            raise ValueError("no exchange group")
        return group

    @model_validator(mode="after")
    def _whole(self) -> SessionConfig:
        if self.mode == "backtest" and self.backtest_config is None:
            raise field_problem(
                ("backtest_config",), None, 'mode "backtest" needs an object with start_date and end_date'
            )
        if self.session_data_config.extended_hours and EXCHANGE_GROUPS[self.exchange_group].extended is None:
            able = ", ".join(name for name, group in EXCHANGE_GROUPS.items() if group.extended)
            reason = f"{self.exchange_group} has no hours outside its regular session; groups that have: {able}"
            raise field_problem(("session_data_config", "extended_hours"), True, reason)
        return self


def load_config(path: str | Path) -> SessionConfig:
    """Read and validate a configuration file.

    Raises
    ------
    ConfigError
        If the file is absent, is no JSON, or a field is wrong; each problem names the field, the value it has and
        what is allowed.
    """
    source = Path(path)
    try:
        raw = orjson.loads(source.read_bytes())
    except FileNotFoundError:
        raise ConfigError(str(source), ["no such file; 'mismartera config init' writes one to start from"]) from None
    except OSError as error:
        raise ConfigError(str(source), [f"cannot be read: {error.strerror}"]) from error
    except orjson.JSONDecodeError as error:
        raise ConfigError(
            str(source), [f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}"]
        ) from None
    return parse_config(raw, source=str(source))


def parse_config(raw: object, *, source: str = "configuration") -> SessionConfig:
    """Validate a configuration given as plain data; raises `ConfigError` as `load_config` does.

    A ``"$schema"`` at the top, by which editors find the schema, is allowed and ignored.
    """
    if isinstance(raw, dict):
        raw = {name: value for name, value in raw.items() if name != "$schema"}
    try:
        return SessionConfig.model_validate(raw)
    except ValidationError as error:
        lines = problems(error.errors(include_url=False), SessionConfig.model_json_schema())
        raise ConfigError(source, lines) from None


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a configuration file, for editors."""
    schema = SessionConfig.model_json_schema()
    pointer = {"type": "string", "description": "Where an editor finds this schema; otherwise ignored."}
    return {"$schema": _DIALECT, **schema, "properties": {"$schema": pointer, **schema["properties"]}}
