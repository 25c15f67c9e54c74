"""`mismartera config`: init, validate, schema."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from mismartera.cli.config import EXAMPLE
from mismartera.cli.main import cli
from mismartera.schemas.config import json_schema, load_config


def run(*arguments):
    return CliRunner().invoke(cli, ["config", *map(str, arguments)])


def test_init_writes_what_validate_accepts(tmp_path):
    path = tmp_path / "new" / "session.json"
    written = run("init", path)
    assert (written.exit_code, written.stdout.splitlines()) == (
        0,
        [f"Wrote {path}. Next:", f"  mismartera config validate {path}"],
    )
    assert load_config(path).session_name == "Example Session"
    assert run("validate", path).exit_code == 0


def test_the_example_holds_every_field():
    schema = json_schema()
    models = schema["$defs"]
    data = EXAMPLE["session_data_config"]
    history = data["historical"]
    for example, model in [
        (EXAMPLE, {"properties": {name: 0 for name in schema["properties"] if name != "$schema"}}),
        (EXAMPLE["backtest_config"], models["BacktestConfig"]),
        (data, models["SessionDataConfig"]),
        (history, models["HistoricalConfig"]),
        (data["quality"], models["QualityConfig"]),
        *((entry, models["HistoricalDataConfig"]) for entry in history["data"]),
        *((entry, models["IndicatorConfig"]) for entry in history["indicators"].values()),
    ]:
        assert list(example) == list(model["properties"])
    kinds = [indicator["type"] for indicator in history["indicators"].values()]
    assert kinds == models["IndicatorConfig"]["properties"]["type"]["enum"]


def test_init_does_not_overwrite_unless_told(tmp_path):
    path = tmp_path / "session.json"
    path.write_text("mine")
    refused = run("init", path)
    assert (refused.exit_code, refused.stderr) == (1, f"error: {path} exists already\nhint: --force overwrites it\n")
    assert path.read_text() == "mine"
    assert run("init", path, "--force").exit_code == 0
    assert json.loads(path.read_text()) == EXAMPLE


@pytest.mark.parametrize("name", ["y.yaml", "a/b.YML", "t.toml"])
def test_init_writes_json_under_no_other_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    refused = run("init", name)
    meant = name.rpartition(".")[0] + ".json"
    assert (refused.exit_code, refused.stdout, refused.stderr.splitlines()) == (
        1,
        "",
        [
            f"error: {name}: a configuration is written in JSON, and the name says otherwise",
            f"hint: mismartera config init {meant}",
        ],
    )
    assert list(tmp_path.iterdir()) == []
    assert run("init", meant).exit_code == 0


def test_init_writes_session_json_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("init").exit_code == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["session.json"]


def test_init_says_why_it_cannot_write(tmp_path):
    (tmp_path / "file").write_text("")
    refused = run("init", tmp_path / "file" / "session.json")
    assert refused.exit_code == 1
    assert "cannot be written" in refused.stderr


def test_validate_sums_up(tmp_path):
    path = tmp_path / "session.json"
    run("init", path)
    result = run("validate", path)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == f"{path} is valid"
    assert lines[3:] == [
        "name Example Session",
        "mode backtest",
        "window 2025-07-01 to 2025-07-03",
        "exchange US_EQUITY (regular hours)",
        "symbols RIVN, AAPL",
        "streamed 1m",
        "derived 5m, 15m",
        "other streams none",
        "history 1m for 2 sessions, 1d for 5 sessions",
        "indicator avg_volume_2d: daily_average of volume over 2 sessions of 1d",
        "indicator avg_volume_by_minute: intraday_average of volume over 2 sessions of 1m",
        "indicator high_5d: field_max of high over 5 sessions of 1d",
        "indicator low_5d: field_min of low over 5 sessions of 1d",
        "quality and gaps on",
    ]


def test_validate_of_a_live_session_of_many_symbols_without_history(tmp_path):
    path = tmp_path / "session.json"
    data = {"symbols": [f"S{number}" for number in range(1000)], "historical": {"enabled": False}}
    path.write_text(json.dumps({"session_name": "L", "mode": "live", "session_data_config": data}))
    result = run("validate", path)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "window live: from now on" in lines
    assert "symbols S0, S1, S2, S3, S4, S5, S6, S7 … (1,000 in all)" in lines
    assert "history none" in lines


def test_validate_tells_every_wrong_field_on_a_line_of_its_own(tmp_path):
    path = tmp_path / "session.json"
    path.write_text(json.dumps(EXAMPLE | {"mode": "paper", "asset_clas": "ETF"}))
    result = run("validate", path)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"error: {path}",
        '  mode: "paper" is not allowed; expected one of "backtest", "live"',
        "  asset_clas: unknown field; did you mean asset_class? allowed here: asset_class, backtest_config, "
        "exchange_group, mode, session_data_config, session_name",
        "hint: 'mismartera config schema' lists every field and what it allows",
    ]


def test_validate_of_no_file(tmp_path):
    result = run("validate", tmp_path / "none.json")
    assert result.exit_code == 1
    assert "no such file; 'mismartera config init' writes one to start from" in result.stderr


@pytest.mark.parametrize("words", [("config", "validate"), ("backtest", "run"), ("shell",)])
def test_a_configuration_that_is_not_there_names_those_that_are(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)

    def hint(name):
        result = CliRunner().invoke(cli, [*words, name])
        assert (result.exit_code, result.stdout) == (1, "")
        *_, last = result.stderr.splitlines()
        return last

    assert hint("nofile") == "hint: mismartera config init session.json"
    assert hint("a/b.json") == "hint: mismartera config init a/session.json"
    run("init", "session.json")
    assert hint("nofile") == "hint: did you mean session.json?"
    assert hint(".") == "hint: did you mean session.json?"
    for number in range(6):
        run("init", f"{number}.json")
    assert hint("nofile") == "hint: this folder holds 0.json, 1.json, 2.json, 3.json, 4.json, …"
    assert hint("sesion.json") == "hint: did you mean session.json?"
    (tmp_path / "s.yaml").write_text("session_name: s\n")
    assert hint("s.yaml") == "hint: a configuration is written in JSON; 'mismartera config init' writes an example"
    (tmp_path / "s.json").write_text("{}")
    assert hint("s.json") == "hint: 'mismartera config schema' lists every field and what it allows"


@pytest.mark.parametrize("name", ["session_name", "backtest_config", "$schema"])
def test_schema_is_json_that_editors_read(name):
    result = run("schema")
    assert result.exit_code == 0
    assert name in json.loads(result.stdout)["properties"]
