"""SQL over exports: replayed as of any sequence in any form, equal to the state as it was, and broken chains named."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager

import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pytest
from polars.testing import assert_frame_equal

from mismartera.engine.export.reading.document_tables import tables_of
from mismartera.engine.export.reading.loading import load_export
from mismartera.engine.export.reading.replay import replay
from mismartera.engine.export.tables.schemas import EXPORT_TABLES as EXPORT_TABLES
from mismartera.schemas.errors import ChainError, ConsumerError, NotAnExportError, UnknownNameError
from mismartera.sql.catalog.open_catalog import open_catalog
from mismartera.sql.exports.open_exports import open_exports
from mismartera.sql.live.live_sql import LiveSql

from .conftest import FORMS, frame

CHAINS = [*(form.replace(".", "_") for form in FORMS), "mixed"]
COLUMNS = ["symbol", "interval", "timestamp", "open", "high", "low", "close", "volume", "n_expected", "available_at"]
TOLD_BY_JSON = {  # what differs by what JSON does not tell, or by whom the exports were for
    "session_bars": "* EXCLUDE (n_base)",
    "historical_bars": "* EXCLUDE (n_base)",
    "bars": "* EXCLUDE (n_base)",
    "ticks": "*",
    "quotes": "*",
    "gaps": "*",
    "quality": "*",
    "session_metrics": "*",
    "indicators": "*",
    "symbols": "symbol",
    "threads": "name, alive, daemon",
}


@pytest.mark.parametrize("source", [*(f"complete.{form}" for form in FORMS), *CHAINS])
def test_every_table_is_as_it_was_live(run, source):
    with LiveSql(run.system.sql_facts).open(run.system.snapshot) as live, open_exports([run.exports / source]) as told:
        for name, columns in TOLD_BY_JSON.items():
            query = f"SELECT {columns} FROM {name} ORDER BY ALL"
            assert_frame_equal(frame(told.query(query)), frame(live.query(query)))


@pytest.mark.parametrize("chain", CHAINS)
def test_as_of_any_sequence_is_what_was_then(run, chain):
    for number, wanted in run.states.items():
        with open_exports([run.exports / chain], as_of=number) as session:
            found = frame(
                session.query(f"SELECT {', '.join(COLUMNS)} FROM session_bars ORDER BY symbol, interval, timestamp")
            )
        utc = found.with_columns(pl.col(pl.Datetime).dt.convert_time_zone("UTC"))
        assert_frame_equal(utc, wanted.select(COLUMNS).sort("symbol", "interval", "timestamp"))


def test_rows_equal_the_json_s_own(run):
    """Walked row by row in Python, not by what is tested."""
    document = json.loads((run.exports / "complete.json").read_bytes())
    wanted = [
        (symbol, interval, *row)
        for symbol, data in document["session_data"]["symbols"].items()
        for interval, section in data["session"]["data"].items()
        if interval not in ("ticks", "quotes")
        for row in section["data"]
    ]
    with open_exports([run.exports / "complete.json"]) as session:
        found = session.query(
            "SELECT symbol, interval, strftime(timestamp, '%H:%M:%S'), open, high, low, close, volume FROM session_bars"
        )
    assert sorted(tuple(row.values()) for row in found.to_pylist()) == sorted(wanted)


def test_one_session_is_the_same_three_ways(run):
    query = (
        "SELECT symbol, interval, timestamp, session_date, open, high, low, close, volume, generated, n_base, "
        "n_expected, revision, available_at FROM bars WHERE interval IN ('1m', '1d') "
        "AND available_at <= '2025-07-02 11:07' AND session_date >= '2025-06-30' ORDER BY ALL"
    )
    answers = [frame(LiveSql(run.system.sql_facts).query(query, run.system.snapshot))]
    for form in FORMS:
        with open_exports([run.exports / f"complete.{form}"]) as session:
            answers.append(frame(session.query(query)))
    with open_catalog(run.catalog) as session:
        answers.append(frame(session.query(query)))
    assert answers[0].height > 1000
    for answer in answers[1:]:
        assert_frame_equal(answer, answers[0])


def test_a_group_by_is_the_same_three_ways(run):
    query = (
        "SELECT symbol, session_date, avg(close) AS close, sum(volume) AS volume, count(*) AS bars FROM bars "
        "WHERE interval = '1m' AND session_date BETWEEN '2025-06-30' AND '2025-07-01' GROUP BY ALL ORDER BY ALL"
    )
    with open_exports([run.exports / "mixed"]) as session, open_catalog(run.catalog) as stored:
        live = frame(LiveSql(run.system.sql_facts).query(query, run.system.snapshot))
        assert_frame_equal(frame(session.query(query)), live)
        assert_frame_equal(frame(stored.query(query)), live)


def test_the_exports_table_lists_the_files(run):
    with open_exports([run.exports / "json"]) as session:
        found = session.query("SELECT sequence, mode, format, bytes, rows FROM exports ORDER BY sequence").to_pylist()
    files = sorted((run.exports / "json").iterdir())
    assert [row["bytes"] for row in found] == [file.stat().st_size for file in files]
    assert [row["sequence"] for row in found] == list(run.states)
    log = [entry for entry in run.system.export_log.entries() if entry["consumer"] == "json"]
    assert [row["rows"] for row in found] == [entry["rows"] for entry in log]


@pytest.mark.parametrize("form", FORMS)
def test_exports_outside_of_the_chain_have_their_rows_too(run, tmp_path, form):
    """The second of the mixed chain is complete: the first is not needed for what is shown after it."""
    run_exports = [run.exports / "mixed", run.exports / f"complete.{form}"]
    with open_exports(run_exports, consumer="mixed") as session:
        query = "SELECT consumer, sequence, rows FROM exports ORDER BY consumer = 'mixed', sequence"
        found = [tuple(row.values()) for row in session.query(query).to_pylist()]
    log = {(entry["consumer"], entry["sequence"]): entry["rows"] for entry in run.system.export_log.entries()}
    wanted = [(f"all_{form}", 1), *(("mixed", number) for number in run.states)]
    assert found == [(*one, log[one]) for one in wanted]


def test_as_of_lists_the_exports_there_were_then(run):
    paths = [run.exports / "mixed", run.exports / "json", run.exports / "complete.json"]
    with open_exports(paths, consumer="mixed", as_of=3) as session:
        found = session.query("SELECT consumer, sequence FROM exports ORDER BY ALL").to_pylist()
    assert found == [{"consumer": name, "sequence": number} for name in ("json", "mixed") for number in (1, 2, 3)]


def test_parquet_is_scanned_in_place(run):
    with open_exports([run.exports / "complete.parquet"]) as session:
        plan = session.query("EXPLAIN SELECT sum(volume) FROM session_bars").column("explain_value")[0].as_py()
    assert "READ_PARQUET" in plan
    assert "ARROW" not in plan


def copied(run, chain, tmp_path):
    return shutil.copytree(run.exports / chain, tmp_path / chain)


@contextmanager
def edited(path):
    """Change the JSON of an export, or the metadata of its folder, and leave it without a checksum."""
    file = path / "metadata.json" if path.is_dir() else path
    document = json.loads(file.read_bytes())
    del document["_checksum"]
    yield document
    file.write_text(json.dumps(document))


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("chain", ["json", "parquet", "arrow"])
def test_a_missing_delta_names_the_file_and_the_sequence(run, chain, tmp_path):
    folder = copied(run, chain, tmp_path)
    remove(folder / f"002.{chain}")
    with pytest.raises(
        ChainError, match=rf"003\.{chain}: expected sequence 2, found 3, .*: sequence 2 is missing"
    ) as caught:
        open_exports([folder])
    assert caught.value.path == folder / f"003.{chain}"
    with open_exports([folder], as_of=1) as session:
        assert session.query("SELECT count(*) AS n FROM symbols").to_pylist() == [{"n": 4}]


def test_a_chain_without_its_start_says_so(run, tmp_path):
    folder = copied(run, "json", tmp_path)
    (folder / "001.json").unlink()
    with pytest.raises(
        ChainError, match=r"002\.json: the chain begins with delta 2: expected a complete export or delta 1"
    ):
        open_exports([folder])


@pytest.mark.parametrize("chain", ["json", "parquet", "arrow"])
def test_a_delta_of_another_run_is_named(run, chain, tmp_path):
    folder = copied(run, chain, tmp_path)
    with edited(folder / f"002.{chain}") as document:
        document["performance_metrics"]["run_id"] = "0" * 32
    with pytest.raises(
        ChainError, match=rf"002\.{chain}: it is foreign, of run 0{{32}}: what comes before it is of run"
    ):
        open_exports([folder])


@pytest.mark.parametrize("chain", ["json", "json_gz"])
def test_a_delta_whose_rows_were_changed_is_named(run, chain, tmp_path):
    """By the first export after which the rows are not as many as it says: as a replay does."""
    folder = copied(run, chain, tmp_path)
    file = sorted(folder.iterdir())[1]
    document = load_export(file)
    section = document["session_data"]["symbols"]["AAPL"]["session"]["data"]["1m"]
    section["data"].pop()
    section["count"] -= 1
    file.write_text(json.dumps(document))
    told = rf"{file.name}: AAPL 1m has \d+ rows after this export, which says \d+: an export before it is missing"
    with pytest.raises(ChainError, match=told) as replayed:
        replay(sorted(folder.iterdir()))
    with pytest.raises(ChainError, match=told) as opened:
        open_exports([folder])
    assert str(opened.value) == str(replayed.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is not JSON, or cut off"),
        ("[1, 2]", "it holds no JSON object"),
        ("{}", "_metadata is missing"),
        ('{"_metadata": {"consumer": "x"}}', "session_data is missing"),
        ('{"_metadata": {"consumer": "x", "sequ', "it is not JSON, or cut off"),
    ],
)
def test_what_is_no_export_is_named(tmp_path, text, message):
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(NotAnExportError, match=rf"x\.json is no export: .*({message})"):
        open_exports([file])


WRONG = [
    ("_metadata", {"sequence": "x"}, "_metadata.sequence: 'x'; expected 1, 2, 3"),
    ("_metadata", {"sequence": 1 << 63}, "_metadata.base_sequence"),
    ("_metadata", {"consumer": 1}, "_metadata.consumer: expected a text, got 1"),
    ("_metadata", {"complete": "no"}, "_metadata.complete: 'no'; expected False"),
    ("_metadata", {"generated_at": "noon"}, "_metadata.generated_at: 'noon' has no offset from UTC"),
    (
        "_metadata",
        {"generated_at": "2025-07-02T10:00:00"},
        "_metadata.generated_at: '2025-07-02T10:00:00' has no offset",
    ),
    ("_metadata", {"session_date": "today"}, "_metadata.session_date: expected a date or null, got 'today'"),
    ("_metadata", {"base_sequence": "x"}, "_metadata.base_sequence: 'x'; delta 2 applies to 1"),
    ("_metadata", {"base_sequence": ...}, "_metadata.base_sequence: missing"),
    ("system_manager", ..., "system_manager: expected an object"),
    ("system_manager", [1], "system_manager: expected an object"),
    ("system_manager", {"timezone": "Mars/X"}, "timezone: expected a name such as America/New_York, got 'Mars/X'"),
    ("system_manager", {"timezone": "America"}, "timezone: expected a name such as America/New_York, got 'America'"),
    ("system_manager", {"timezone": 5}, "timezone: expected a name such as America/New_York, got 5"),
    ("threads", [], "threads: expected an object"),
    ("threads", {"x": 1}, "threads.x: no such thread"),
]


@pytest.mark.parametrize(("member", "change", "message"), WRONG)
@pytest.mark.parametrize("form", ["json", "parquet"])
def test_a_member_of_a_wrong_type_is_named_with_its_file(run, tmp_path, form, member, change, message):
    folder = copied(run, form, tmp_path)
    with edited(folder / f"002.{form}") as document:
        held = document.pop(member)
        if isinstance(change, dict):
            document[member] = {name: value for name, value in (held | change).items() if value is not ...}
        elif change is not ...:
            document[member] = change
    with pytest.raises(NotAnExportError) as caught:
        open_exports([folder])
    assert str(caught.value).startswith(f"{folder / f'002.{form}'} is no export: ")
    if form == "json" or member != "system_manager":
        assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("symbols", [{"A": []}, [], {"A": {"session": {"data": {"1m": {"data": [["noon"]]}}}}}])
def test_symbols_that_are_none_are_named_with_their_file(run, tmp_path, symbols):
    document = load_export(run.exports / "complete.json")
    document["session_data"]["symbols"] = symbols
    (tmp_path / "x.json").write_text(json.dumps(document))
    with pytest.raises(NotAnExportError, match=r"x\.json is no export: session_data"):
        open_exports([tmp_path / "x.json"])


@pytest.mark.parametrize("chain", ["json", "parquet"])
def test_a_first_delta_has_no_configuration(run, chain):
    with open_exports([run.exports / chain], as_of=1) as session:
        assert session.query("SELECT * FROM config").to_pylist() == []


def test_a_truncated_export_is_named(run, tmp_path):
    whole = (run.exports / "complete.json").read_bytes()
    (tmp_path / "cut.json").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NotAnExportError, match=r"cut\.json is no export: it is not JSON, or cut off"):
        open_exports([tmp_path])


def test_an_export_with_fewer_rows_than_it_counts_is_named(run, tmp_path):
    document = load_export(run.exports / "complete.json")
    section = document["session_data"]["symbols"]["ZED"]["session"]["data"]["1m"]
    del section["data"][5:11]
    rows, file = len(section["data"]), tmp_path / "short.json"
    file.write_text(json.dumps(document))
    with pytest.raises(NotAnExportError, match=rf"ZED\.session\.1m: count {rows + 6}, and {rows} rows") as caught:
        open_exports([file])
    assert caught.value.path == file
    section["count"] -= 6
    file.write_text(json.dumps(document))
    with pytest.raises(NotAnExportError, match=rf"total_count {rows + 6}, and a complete export of {rows} rows"):
        open_exports([file])


@pytest.mark.parametrize("form", ["json.gz", "json.zst"])
def test_a_compressed_export_that_is_damaged_is_named(run, tmp_path, form):
    file = tmp_path / f"x.{form}"
    run.system.export_status(file, consumer="all_json")
    whole = file.read_bytes()
    for damaged in (b"\x1f\x8b" + whole[:-1], whole[: len(whole) // 2] + b"?" * (len(whole) // 2)):
        file.write_bytes(damaged)
        with pytest.raises(NotAnExportError, match=rf"x\.{form} is no export: ") as caught:
            open_exports([file])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", EXPORT_TABLES)
@pytest.mark.parametrize(("form", "suffix"), [("arrow", "arrows"), ("parquet", "parquet")])
def test_a_folder_that_lacks_a_table_is_told_by_the_file(run, tmp_path, form, suffix, name):
    folder = copied(run, f"complete.{form}", tmp_path)
    (folder / f"{name}.{suffix}").unlink()
    with pytest.raises(NotAnExportError, match=rf"complete\.{form} is no export: .*{name}\.{suffix}") as caught:
        open_exports([folder])
    assert caught.value.path == folder


def test_an_arrow_table_of_other_rows_than_told_is_named(run, tmp_path):
    folder = copied(run, "complete.arrow", tmp_path)
    with edited(folder) as document:  # without checksums, as before version 2.1
        document["tables"] = {name: entry["rows"] for name, entry in document["tables"].items()}
    with pa.ipc.new_stream(folder / "gaps.arrows", EXPORT_TABLES["gaps"]) as stream:
        stream.write_table(EXPORT_TABLES["gaps"].empty_table())
    with pytest.raises(NotAnExportError, match=r"gaps\.arrows: expected \d+ rows, got 0"):
        open_exports([folder])


def test_a_file_within_an_export_is_told_with_its_folder(run):
    file = run.exports / "complete.parquet" / "session_bars.parquet"
    with pytest.raises(NotAnExportError, match=r"session_bars\.parquet is no export: it is one table") as caught:
        open_exports([file])
    assert caught.value.hint == f"name the folder it is a part of: {file.parent}"
    with pytest.raises(NotAnExportError, match=r"test_exports\.py is no export: it is not JSON"):
        open_exports([__file__])


def test_nothing_to_open_is_told(tmp_path):
    with pytest.raises(NotAnExportError, match="No such file"):
        open_exports([tmp_path / "nowhere"])
    with pytest.raises(NotAnExportError, match=r"expected \.json, .*found none"):
        open_exports([tmp_path])


def test_two_consumers_or_one_sequence_twice_are_told(run, tmp_path):
    files = [run.exports / "complete.json", run.exports / "complete.parquet"]
    with pytest.raises(ConsumerError, match="exports of 2 consumers: all_json, all_parquet"):
        open_exports(files)
    with open_exports(files, consumer="all_parquet") as session:
        assert session.query("SELECT count(*) AS n FROM exports").to_pylist() == [{"n": 2}]
    with pytest.raises(UnknownNameError, match="consumer 'me' does not exist"):
        open_exports(files, consumer="me")
    shutil.copy(run.exports / "json" / "001.json", tmp_path / "again.json")
    with pytest.raises(ChainError, match="sequence 1 is there twice"):
        open_exports([run.exports / "json", tmp_path])


def test_a_sequence_that_is_not_there_is_told(run):
    with pytest.raises(UnknownNameError, match=r"sequence 99 does not exist.*available: 1, 2"):
        open_exports([run.exports / "json"], as_of=99)


def test_a_late_correction_replaces_what_was_held():
    row = ["09:30:00", 1.0, 2.0, 0.5, 1.5, 10]
    section = {"count": 2, "generated": False, "data": [row, [*row[:4], 1.75, 10]], "total_count": 1}
    document = {
        "_metadata": {"session_date": "2025-07-02", "complete": False},
        "system_manager": {"timezone": "America/New_York", "exchange_group": "US_EQUITY"},
        "session_data": {"symbols": {"A": {"session": {"volume": 10, "data": {"1m": section}}, "historical": {}}}},
    }
    bars = tables_of(document)["session_bars"]
    assert bars.column("close").to_pylist() == [1.75]


def test_a_gzip_named_json_is_read_by_its_content(run, tmp_path):
    shutil.copy(run.exports / "complete.json.gz", tmp_path / "state.json")
    with open_exports([tmp_path / "state.json"]) as session:
        found = session.query("SELECT format FROM exports").to_pylist()
    assert found == [{"format": "json.gz"}]
