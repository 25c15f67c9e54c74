"""The types of indicators a configuration may name; what computes one is `engine.columns.indicators.<type>`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IndicatorType:
    """What a configuration needs to know of a type of indicator.

    Attributes
    ----------
    meaning : str
        For the configuration's JSON Schema.
    by_minute : bool
        Whether it has a value for each minute, so that it needs history of one-minute bars or finer ones.
    """

    meaning: str
    by_minute: bool = False


INDICATOR_TYPES = {
    "daily_average": IndicatorType("mean over the sessions of each one's value"),
    "intraday_average": IndicatorType("that mean for each minute of the session", by_minute=True),
    "field_max": IndicatorType("highest value of all bars"),
    "field_min": IndicatorType("lowest value of all bars"),
}
