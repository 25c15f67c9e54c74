"""The session configuration: what is right is kept as it was meant, and what is wrong is told letter by letter."""

from __future__ import annotations

import copy
import datetime as dt
import json
import warnings

import pytest

from mismartera.schemas.config import SessionConfig, json_schema, load_config, parse_config
from mismartera.schemas.errors import ConfigError
from mismartera.schemas.interval import Interval

RIGHT = {
    "session_name": "Example Trading Session",
    "mode": "backtest",
    "exchange_group": "US_EQUITY",
    "asset_class": "EQUITY",
    "backtest_config": {
        "start_date": "2025-07-01",
        "end_date": "2025-07-03",
        "prefetch_days": 1,
        "speed_multiplier": 0,
    },
    "session_data_config": {
        "symbols": ["RIVN", "AAPL"],
        "streams": ["1m"],
        "derived_intervals": [5, 15],
        "historical": {
            "enabled": True,
            "data": [{"interval": "1m", "trailing_days": 2}, {"interval": "1d", "trailing_days": 5}],
            "indicators": {"avg": {"type": "daily_average", "field": "volume", "trailing_days": 2}},
        },
        "quality": {"enabled": True},
        "extended_hours": False,
    },
}
ABSENT = object()


def changed(path, value):
    """Return `RIGHT` with the field at a dotted path set to `value`, or taken out."""
    config = copy.deepcopy(RIGHT)
    *steps, last = (int(step) if step.isdecimal() else step for step in path.split("."))
    place = config
    for step in steps:
        place = place[step]
    if value is ABSENT:
        del place[last]
    else:
        place[last] = value
    return config


def problems_of(raw):
    with pytest.raises(ConfigError) as caught:
        parse_config(raw)
    return caught.value.problems


WRONG = [
    ("session_name", ABSENT, "session_name: missing; expected a text of 1 to 100 characters"),
    ("session_name", "", 'session_name: "" is not allowed; expected a text of 1 to 100 characters'),
    (
        "session_name",
        "a/b",
        'session_name: "a/b" is not allowed; it names files: expected no / \\ : * ? " < > | in it, no control '
        "characters, no spaces around it",
    ),
    (
        "session_name",
        "é" * 51,
        f'session_name: "{"é" * 51}" is not allowed; it names files: expected at most 100 bytes in UTF-8',
    ),
    ("session_name", 5, "session_name: 5 is not allowed; expected a text of 1 to 100 characters"),
    (
        "session_name",
        " x",
        'session_name: " x" is not allowed; it names files: expected no / \\ : * ? " < > | in it, no control '
        "characters, no spaces around it",
    ),
    (
        "mode",
        "BACKTEST",
        'mode: "BACKTEST" is not allowed; expected one of "backtest", "live"; did you mean "backtest"?',
    ),
    ("mode", "paper", 'mode: "paper" is not allowed; expected one of "backtest", "live"'),
    (
        "exchange_group",
        "US_EQUTY",
        'exchange_group: "US_EQUTY" is not allowed; expected one of "AU_EQUITY", "CA_EQUITY", "CN_EQUITY", '
        '"DE_EQUITY", "FR_EQUITY", "HK_EQUITY", "IN_EQUITY", "JP_EQUITY", "UK_EQUITY", "US_EQUITY"; did you '
        'mean "US_EQUITY"?',
    ),
    (
        "exchange_group",
        None,
        'exchange_group: null is not allowed; expected one of "AU_EQUITY", "CA_EQUITY", "CN_EQUITY", '
        '"DE_EQUITY", "FR_EQUITY", "HK_EQUITY", "IN_EQUITY", "JP_EQUITY", "UK_EQUITY", "US_EQUITY"',
    ),
    ("asset_class", "FX", 'asset_class: "FX" is not allowed; expected one of "EQUITY", "ETF"'),
    (
        "backtest_config",
        ABSENT,
        'backtest_config: missing; mode "backtest" needs an object with start_date and end_date',
    ),
    (
        "backtest_config",
        [],
        "backtest_config: [] is not allowed; expected an object with start_date, end_date and optionally "
        "prefetch_days, speed_multiplier",
    ),
    (
        "backtest_config.start_date",
        "2025-13-01",
        'backtest_config.start_date: "2025-13-01" is not allowed; expected a date such as "2025-07-01"',
    ),
    (
        "backtest_config.start_date",
        20250701,
        'backtest_config.start_date: 20250701 is not allowed; expected a date such as "2025-07-01"',
    ),
    (
        "backtest_config.start_date",
        "20250701",
        'backtest_config.start_date: "20250701" is not allowed; expected a date such as "2025-07-01"',
    ),
    ("backtest_config.start_date", ABSENT, 'backtest_config.start_date: missing; expected a date such as "2025-07-01"'),
    (
        "backtest_config.end_date",
        "2025-06-30",
        'backtest_config.end_date: "2025-06-30" is not allowed; expected start_date, 2025-07-01, or a later day',
    ),
    (
        "backtest_config.prefetch_days",
        99,
        "backtest_config.prefetch_days: 99 is not allowed; expected a whole number from 0 to 30",
    ),
    (
        "backtest_config.prefetch_days",
        "1",
        'backtest_config.prefetch_days: "1" is not allowed; expected a whole number from 0 to 30',
    ),
    (
        "backtest_config.prefetch_days",
        True,
        "backtest_config.prefetch_days: true is not allowed; expected a whole number from 0 to 30",
    ),
    (
        "backtest_config.prefetch_days",
        1.5,
        "backtest_config.prefetch_days: 1.5 is not allowed; expected a whole number from 0 to 30",
    ),
    (
        "backtest_config.speed_multiplier",
        -1,
        "backtest_config.speed_multiplier: -1 is not allowed; expected a number of 0 or more",
    ),
    (
        "backtest_config.speed_multiplier",
        "fast",
        'backtest_config.speed_multiplier: "fast" is not allowed; expected a number of 0 or more',
    ),
    (
        "backtest_config.speed",
        1,
        "backtest_config.speed: unknown field; allowed here: end_date, prefetch_days, speed_multiplier, start_date",
    ),
    (
        "session_data_config",
        ABSENT,
        "session_data_config: missing; expected an object with symbols and optionally streams, "
        "derived_intervals, historical, quality, extended_hours",
    ),
    (
        "session_data_config.symbols",
        [],
        "session_data_config.symbols: [] is not allowed; expected a list of at least 1, each a text of 1 to "
        "64 characters",
    ),
    (
        "session_data_config.symbols",
        "RIVN",
        'session_data_config.symbols: "RIVN" is not allowed; expected a list of at least 1, each a text of 1 '
        "to 64 characters",
    ),
    (
        "session_data_config.symbols",
        ["RIVN", 5],
        "session_data_config.symbols.1: 5 is not allowed; expected a text of 1 to 64 characters",
    ),
    (
        "session_data_config.symbols",
        ["A", "B", "A"],
        'session_data_config.symbols.2: "A" is not allowed; expected each symbol once; it is listed 2 times',
    ),
    (
        "session_data_config.symbols",
        [" A"],
        'session_data_config.symbols.0: " A" is not allowed; expected no spaces around it and no control '
        "characters in it",
    ),
    (
        "session_data_config.symbols",
        [""],
        'session_data_config.symbols.0: "" is not allowed; expected a text of 1 to 64 characters',
    ),
    (
        "session_data_config.streams",
        [],
        "session_data_config.streams: [] is not allowed; expected a list of at least 1, each a whole number "
        'of 1 or more (minutes) or a text, such as "1m", "1s", "ticks", "quotes"',
    ),
    (
        "session_data_config.streams",
        ["ticks"],
        'session_data_config.streams: ["ticks"] is not allowed; expected at least one bar interval, such as "1m"',
    ),
    (
        "session_data_config.streams",
        ["1d"],
        'session_data_config.streams: ["1d"] is not allowed; expected a bar interval of less than a day among them',
    ),
    (
        "session_data_config.streams",
        ["trades"],
        'session_data_config.streams.0: "trades" is not allowed; expected a whole number of 1 or more '
        '(minutes) or a text, such as "1m", "1s", "ticks", "quotes"',
    ),
    (
        "session_data_config.streams",
        "1m",
        'session_data_config.streams: "1m" is not allowed; expected a list of at least 1, each a whole '
        'number of 1 or more (minutes) or a text, such as "1m", "1s", "ticks", "quotes"',
    ),
    (
        "session_data_config.streams",
        ["2m", "5m"],
        'session_data_config.streams.1: "5m" is not allowed; expected a multiple of 2m, the finest stream, '
        "from which it is derived",
    ),
    (
        "session_data_config.streams",
        [["1m"]],
        'session_data_config.streams.0: ["1m"] is not allowed; expected a whole number of 1 or more '
        '(minutes) or a text, such as "1m", "1s", "ticks", "quotes"',
    ),
    (
        "session_data_config.derived_intervals",
        [5, "x"],
        'session_data_config.derived_intervals.1: "x" is not allowed; expected a whole number from 1 to 999999 '
        '(minutes) or a text, such as "1m", "5m", "1h", "1d", 5',
    ),
    (
        "session_data_config.derived_intervals",
        ["30s"],
        'session_data_config.derived_intervals.0: "30s" is not allowed; expected a multiple of 1m, the '
        "finest stream, from which it is derived",
    ),
    (
        "session_data_config.derived_intervals",
        5,
        "session_data_config.derived_intervals: 5 is not allowed; expected a list, each a whole number from 1 "
        'to 999999 (minutes) or a text, such as "1m", "5m", "1h", "1d", 5',
    ),
    (
        "session_data_config.derived_intervals",
        [0],
        "session_data_config.derived_intervals.0: 0 is not allowed; expected a whole number from 1 to 999999 "
        '(minutes) or a text, such as "1m", "5m", "1h", "1d", 5',
    ),
    (
        "session_data_config.derived_intervals",
        [
            "99999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999"
        ],
        "session_data_config.derived_intervals.0: "
        '"99999999999999999999999999999999999999999999999999999999... is not allowed; expected a whole '
        'number from 1 to 999999 (minutes) or a text, such as "1m", "5m", "1h", "1d", 5',
    ),
    (
        "session_data_config.derived_intervals",
        [1000000000000000000],
        "session_data_config.derived_intervals.0: 1000000000000000000 is not allowed; expected a whole number from 1 "
        'to 999999 (minutes) or a text, such as "1m", "5m", "1h", "1d", 5',
    ),
    (
        "session_data_config.derived_intervals",
        ["2d"],
        'session_data_config.derived_intervals.0: "2d" is not allowed; expected an interval of at most a day',
    ),
    (
        "session_data_config.historical.data.0.interval",
        "5x",
        'session_data_config.historical.data.0.interval: "5x" is not allowed; expected a whole number from 1 '
        'to 999999 (minutes) or a text, such as "1m", "5m", "1h", "1d", 5',
    ),
    (
        "session_data_config.historical.data.0.trailing_days",
        0,
        "session_data_config.historical.data.0.trailing_days: 0 is not allowed; expected a whole number from 1 to 5000",
    ),
    (
        "session_data_config.historical.data.1.interval",
        "1m",
        'session_data_config.historical.data.1.interval: "1m" is not allowed; expected each interval once',
    ),
    (
        "session_data_config.historical.data",
        {},
        "session_data_config.historical.data: {} is not allowed; expected a list, each an object with "
        "interval, trailing_days",
    ),
    (
        "session_data_config.historical.indicators.avg.type",
        "average",
        'session_data_config.historical.indicators.avg.type: "average" is not allowed; expected one of '
        '"daily_average", "intraday_average", "field_max", "field_min"; did you mean "daily_average"?',
    ),
    (
        "session_data_config.historical.indicators.avg.field",
        "Volume",
        'session_data_config.historical.indicators.avg.field: "Volume" is not allowed; expected one of '
        '"open", "high", "low", "close", "volume"; did you mean "volume"?',
    ),
    (
        "session_data_config.historical.indicators.avg.trailing_days",
        9,
        "session_data_config.historical.indicators.avg.trailing_days: 9 is not allowed; daily_average needs "
        "an entry in historical.data with an interval and trailing_days of 9 or more",
    ),
    (
        "session_data_config.historical.indicators.avg.period",
        9,
        "session_data_config.historical.indicators.avg.period: unknown field; allowed here: field, trailing_days, type",
    ),
    (
        "session_data_config.historical.indicators.data",
        {"type": "daily_average", "field": "volume", "trailing_days": 2},
        'session_data_config.historical.indicators: "data" is not allowed; expected a name for the indicator '
        "other than loaded, date_range, data",
    ),
    (
        "session_data_config.historical.indicators",
        [],
        "session_data_config.historical.indicators: [] is not allowed; expected an object of names, each "
        "with an object with type, field, trailing_days",
    ),
    (
        "session_data_config.historical.indicators.avg",
        5,
        "session_data_config.historical.indicators.avg: 5 is not allowed; expected an object with type, "
        "field, trailing_days",
    ),
    (
        "session_data_config.quality",
        "on",
        'session_data_config.quality: "on" is not allowed; expected an object that may hold enabled',
    ),
    (
        "session_data_config.quality.enabled",
        "yes",
        'session_data_config.quality.enabled: "yes" is not allowed; expected true or false',
    ),
    (
        "session_data_config.extended_hours",
        1,
        "session_data_config.extended_hours: 1 is not allowed; expected true or false",
    ),
    (
        "sesion_data_config",
        {},
        "sesion_data_config: unknown field; did you mean session_data_config? allowed here: asset_class, "
        "backtest_config, exchange_group, mode, session_data_config, session_name",
    ),
]


@pytest.mark.parametrize(("path", "value", "problem"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_field_is_named_with_its_value_and_what_is_allowed(path, value, problem):
    assert problems_of(changed(path, value)) == [problem]


def test_hours_outside_the_session_need_an_exchange_that_has_them():
    raw = changed("session_data_config.extended_hours", True)
    assert parse_config(raw).session_data_config.extended_hours
    assert problems_of(raw | {"exchange_group": "HK_EQUITY"}) == [
        "session_data_config.extended_hours: true is not allowed; HK_EQUITY has no hours outside its regular session; "
        "groups that have: US_EQUITY"
    ]


def test_intraday_average_needs_history_of_minutes():
    indicator = {"type": "intraday_average", "field": "volume", "trailing_days": 3}
    assert problems_of(changed("session_data_config.historical.indicators.by_minute", indicator)) == [
        "session_data_config.historical.indicators.by_minute.trailing_days: 3 is not allowed; intraday_average needs "
        "an entry in historical.data with an interval of 1m or less and trailing_days of 3 or more"
    ]


@pytest.mark.parametrize(("raw", "shown"), [([], "[]"), (None, "null"), ("x", '"x"'), (5, "5")])
def test_what_is_no_object(raw, shown):
    (problem,) = problems_of(raw)
    assert problem.startswith(f"top level: {shown} is not allowed; expected an object with session_name, ")


def test_every_wrong_field_is_told_at_once():
    assert len(problems_of({"session_name": "", "mode": "x", "extra": 1})) == 4


def test_the_message_names_the_source():
    with pytest.raises(ConfigError, match=r"^mine\.json: mode: 5 is not allowed; expected one of") as caught:
        parse_config(changed("mode", 5), source="mine.json")
    assert caught.value.source == "mine.json"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "no such file; 'mismartera config init' writes one to start from"),
        (b"", "not JSON at line 1, column 1: "),
        (b'{"a": 1,\n}', "not JSON at line 1, column 8: "),
        (b'{"a": NaN}', "not JSON at line 1, column 7: "),
    ],
)
def test_files_that_cannot_be_read(tmp_path, content, problem):
    path = tmp_path / "session.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.problems[0].startswith(problem)
    assert str(path) in str(caught.value)


def test_a_folder_is_no_configuration(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path)


def test_right_values_arrive_as_they_were_meant(tmp_path):
    path = tmp_path / "session.json"
    path.write_text(json.dumps(RIGHT | {"$schema": "session.schema.json"}))
    config = load_config(path)
    data = config.session_data_config
    assert config.backtest_config.start_date == dt.date(2025, 7, 1)
    assert data.symbols == ("RIVN", "AAPL")
    assert data.derived_intervals == (Interval("5m"), Interval("15m"))
    assert data.base_interval == Interval("1m")
    assert data.historical.interval_for(data.historical.indicators["avg"]) == Interval("1d")
    assert parse_config(json.loads(config.model_dump_json())) == config


@pytest.mark.parametrize(
    ("streams", "derived", "base", "generated"),
    [
        (["1m"], [5, "15m"], "1m", ["5m", "15m"]),
        ([1, "5m", "quotes"], ["15m", "5m"], "1m", ["5m", "15m"]),
        (["ticks", "1s"], ["1m", "1s"], "1s", ["1m"]),
        (["5m", "1h"], [], "5m", ["1h"]),
        (["1m"], ["1d", "1h"], "1m", ["1h", "1d"]),
    ],
)
def test_what_is_streamed_and_what_is_derived(streams, derived, base, generated):
    raw = changed("session_data_config.streams", streams)
    raw["session_data_config"]["derived_intervals"] = derived
    data = parse_config(raw).session_data_config
    assert data.base_interval.text == base
    assert [interval.text for interval in data.generated_intervals] == generated


def test_the_least_configuration_gets_the_defaults():
    config = parse_config(
        {
            "session_name": "Least",
            "backtest_config": {"start_date": "2025-07-01", "end_date": "2025-07-01"},
            "session_data_config": {"symbols": ["BRK.B"]},
        }
    )
    data = config.session_data_config
    assert (config.mode, config.exchange_group, config.backtest_config.prefetch_days) == ("backtest", "US_EQUITY", 1)
    assert (data.streams, [str(interval) for interval in data.derived_intervals]) == (("1m",), ["5m", "15m"])
    assert (data.quality.enabled, data.extended_hours, data.historical.data) == (True, False, ())


def test_a_live_session_needs_no_window():
    raw = changed("mode", "live")
    del raw["backtest_config"]
    assert parse_config(raw).backtest_config is None


def test_of_many_symbols_the_one_listed_twice_is_found():
    symbols = [f"S{number}" for number in range(5000)]
    assert len(parse_config(changed("session_data_config.symbols", symbols)).session_data_config.symbols) == 5000
    assert problems_of(changed("session_data_config.symbols", [*symbols, "S7"])) == [
        'session_data_config.symbols.5000: "S7" is not allowed; expected each symbol once; it is listed 2 times'
    ]


def test_a_configuration_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        parse_config(RIGHT).mode = "live"


def test_json_schema_describes_every_field():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for model in (schema, *schema["$defs"].values()):
        assert model["additionalProperties"] is False
        for name, field in model["properties"].items():
            assert field.get("description"), f"{model['title']}.{name} has no description"


def test_json_schema_tells_the_defaults_validation_gives():
    data = json_schema()["$defs"]["SessionDataConfig"]["properties"]
    least = SessionConfig.model_validate(
        {"session_name": "x", "mode": "live", "session_data_config": {"symbols": ["A"]}}
    ).session_data_config
    assert data["derived_intervals"]["default"] == [interval.text for interval in least.derived_intervals]
    assert data["streams"]["default"] == list(least.streams)
