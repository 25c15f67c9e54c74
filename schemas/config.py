"""`SessionConfig`: everything that says what a session holds. JSON on disk, validated here, immutable after."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from .errors import ConfigError
from .exchanges import EXCHANGE_GROUPS
from .interval import Interval

BarField = Literal["open", "high", "low", "close", "volume"]
IndicatorType = Literal["daily_average", "intraday_average", "field_max", "field_min"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class BacktestConfig(_Model):
    """The window a backtest runs over, and how fast."""

    start_date: dt.date = Field(description="First day of the window; sessions are taken from the exchange's calendar.")
    end_date: dt.date = Field(description="Last day of the window, included.")
    prefetch_days: Annotated[int, Field(ge=0, le=30)] = Field(
        default=1, description="Sessions staged ahead while one streams. 0 stages each when its turn comes."
    )
    speed_multiplier: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=0.0, description="Market seconds per wall-clock second; 0 runs as fast as the machine can."
    )

    @model_validator(mode="after")
    def _ordered(self) -> BacktestConfig:
        if self.end_date < self.start_date:
            raise ValueError(f"end_date {self.end_date} is before start_date {self.start_date}")
        return self


class HistoricalDataConfig(_Model):
    """One interval of history, kept for a number of sessions before the current one."""

    interval: Interval = Field(description="Bar interval to keep.")
    trailing_days: Annotated[int, Field(ge=1, le=5000)] = Field(
        description="Sessions (not calendar days) before the current one."
    )


class IndicatorConfig(_Model):
    """A figure computed from the history of each symbol when a session starts."""

    type: IndicatorType = Field(
        description="daily_average: mean over the sessions of each one's value. intraday_average: that mean for each "
        "minute of the session. field_max, field_min: the extreme over all bars."
    )
    field: BarField = Field(description="Column the indicator reads.")
    trailing_days: Annotated[int, Field(ge=1, le=5000)] = Field(description="Sessions it looks back over.")


class HistoricalConfig(_Model):
    """What is kept of the sessions before the current one."""

    enabled: bool = Field(default=True, description="Whether any history is loaded.")
    data: tuple[HistoricalDataConfig, ...] = Field(default=(), description="Intervals to keep, each with its window.")
    indicators: dict[str, IndicatorConfig] = Field(default_factory=dict, description="Indicators by name.")

    @field_validator("indicators")
    @classmethod
    def _names_free(cls, indicators: dict[str, IndicatorConfig]) -> dict[str, IndicatorConfig]:
        for taken in ("loaded", "date_range", "data"):
            if taken in indicators:
                raise ValueError(f"indicator name {taken!r} is taken by the export's own key; choose another")
        return indicators

    @model_validator(mode="after")
    def _served(self) -> HistoricalConfig:
        intervals = [entry.interval for entry in self.data]
        if len(set(intervals)) < len(intervals):
            raise ValueError(f"data names an interval twice: {', '.join(map(str, intervals))}")
        for name, indicator in self.indicators.items():
            if self.enabled and self.interval_for(indicator) is None:
                need = "an interval of 1m or less" if indicator.type == "intraday_average" else "any interval"
                raise ValueError(
                    f"indicator {name!r} looks back {indicator.trailing_days} sessions, but no entry of data has "
                    f"{need} with trailing_days of {indicator.trailing_days} or more"
                )
        return self

    def interval_for(self, indicator: IndicatorConfig) -> Interval | None:
        """Return the interval whose history serves `indicator`: the coarsest that is fine and long enough."""
        fits = [
            entry.interval
            for entry in self.data
            if entry.trailing_days >= indicator.trailing_days
            and (indicator.type != "intraday_average" or entry.interval.divides("1m"))
        ]
        return max(fits, default=None)


class QualityConfig(_Model):
    """Whether gaps are searched and quality is scored."""

    enabled: bool = Field(default=True, description="When off, quality is null and no gap is listed.")


class SessionDataConfig(_Model):
    """Symbols, streams and what is made of them."""

    symbols: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = Field(
        min_length=1, description="Symbols of the session, in the order they are registered."
    )
    streams: tuple[str, ...] = Field(
        default=("1m",),
        min_length=1,
        description="What is streamed: bar intervals, 'ticks', 'quotes'. A backtest streams the finest bar interval "
        "and derives the others from it.",
    )
    derived_intervals: tuple[Interval, ...] = Field(
        default=(Interval("5m"), Interval("15m")), description="Intervals derived from the streamed bars."
    )
    historical: HistoricalConfig = Field(default_factory=HistoricalConfig)
    quality: QualityConfig = Field(default_factory=QualityConfig)
    extended_hours: bool = Field(
        default=False, description="Whether bars before the open and after the close belong to the session."
    )

    @field_validator("symbols")
    @classmethod
    def _symbols_once(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        for symbol in symbols:
            if symbol != symbol.strip() or any(ord(character) < 32 for character in symbol):
                raise ValueError(f"symbol {symbol!r} has spaces around it or control characters in it")
        twice = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1}) if len(set(symbols)) < len(symbols) else []
        if twice:
            raise ValueError(f"symbols listed twice: {', '.join(twice)}")
        return symbols

    @field_validator("streams", mode="before")
    @classmethod
    def _streams_known(cls, streams: Any) -> Any:
        if not isinstance(streams, list | tuple):
            raise ValueError("expected a list such as ['1m', 'quotes']")  # noqa: TRY004 - pydantic turns it into a message
        return tuple(stream if stream in ("ticks", "quotes") else Interval(stream).text for stream in streams)

    @model_validator(mode="after")
    def _derivable(self) -> SessionDataConfig:
        base = self.base_interval
        if base.is_daily:
            raise ValueError(f"streams: the finest bar interval is {base}; a session needs one of less than a day")
        for interval in self.generated_intervals:
            if not base.divides(interval):
                raise ValueError(f"interval {interval} cannot be derived: it is no multiple of the streamed {base}")
        return self

    @property
    def base_interval(self) -> Interval:
        """The finest bar interval among the streams: the one a backtest streams."""
        bars = [Interval(stream) for stream in self.streams if stream not in ("ticks", "quotes")]
        if not bars:
            raise ValueError(f"streams {list(self.streams)} hold no bar interval; add one, such as '1m'")
        return min(bars)

    @property
    def generated_intervals(self) -> tuple[Interval, ...]:
        """Intervals derived from the base interval, ascending."""
        coarser = {Interval(stream) for stream in self.streams if stream not in ("ticks", "quotes")}
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

    session_name: Annotated[str, Field(min_length=1, max_length=100)] = Field(description="Names files and exports.")
    mode: Literal["backtest", "live"] = Field(default="backtest", description="Where the clock comes from.")
    exchange_group: str = Field(
        default="US_EQUITY",
        description="Whose calendar and time zone hold.",
        json_schema_extra={"enum": sorted(EXCHANGE_GROUPS)},
    )
    asset_class: Literal["EQUITY", "ETF"] = Field(default="EQUITY", description="What is traded.")
    backtest_config: BacktestConfig | None = Field(default=None, description="The window; a backtest needs one.")
    session_data_config: SessionDataConfig

    @field_validator("session_name")
    @classmethod
    def _name_is_a_file_name(cls, name: str) -> str:
        if any(character in '/\\:*?"<>|' or ord(character) < 32 for character in name):
            raise ValueError("it names files, so none of / \\ : * ? \" < > | may be in it")
        return name

    @field_validator("exchange_group")
    @classmethod
    def _group_known(cls, group: str) -> str:
        if group not in EXCHANGE_GROUPS:
            raise ValueError(f"allowed: {', '.join(sorted(EXCHANGE_GROUPS))}")
        return group

    @model_validator(mode="after")
    def _whole(self) -> SessionConfig:
        if self.mode == "backtest" and self.backtest_config is None:
            raise ValueError("mode 'backtest' needs backtest_config with start_date and end_date")
        if self.session_data_config.extended_hours and EXCHANGE_GROUPS[self.exchange_group].extended is None:
            raise ValueError(f"extended_hours: {self.exchange_group} has no hours outside its regular session")
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
        raise ConfigError(str(source), [f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}"]) from None
    return parse_config(raw, source=str(source))


def parse_config(raw: object, *, source: str = "configuration") -> SessionConfig:
    """Validate a configuration given as plain data; raises `ConfigError` as `load_config` does."""
    try:
        return SessionConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(source, [_problem(item) for item in error.errors(include_url=False)]) from None


def _problem(error: Any) -> str:
    field = ".".join(str(step) for step in error["loc"]) or "configuration"
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"{field}: unknown field{_siblings(error['loc'])}"
    if error["type"] == "missing":
        return f"{field}: missing; it is required"
    value = error.get("input")
    shown = "" if isinstance(value, dict | BaseModel) else f"{_short(value)} is wrong: "
    return f"{field}: {shown}{message}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _siblings(location: tuple[int | str, ...]) -> str:
    """Return what is allowed where an unknown field stands, with the nearest name first."""
    import difflib

    model: Any = SessionConfig
    for step in location[:-1]:
        model = _field_model(model, step)
        if model is None:
            return ""
    names = sorted(model.model_fields)
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{meant} allowed here: {', '.join(names)}"


def _field_model(model: Any, step: int | str) -> Any:
    """Return the model found at `step` below `model`, looking through optionals, tuples and dicts."""
    import typing

    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return None
    if step not in model.model_fields:
        return model if isinstance(step, int) else None
    annotation: Any = model.model_fields[str(step)].annotation
    pending = [annotation]
    while pending:
        candidate = pending.pop()
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
        pending.extend(typing.get_args(candidate))
    return None
