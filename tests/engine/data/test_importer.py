"""Imports: what every kind of source becomes, what is kept aside and why, and that importing again changes nothing."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import sys
import types
import zipfile
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.importer import import_path
from mismartera.engine.data.options import ImportOptions
from mismartera.engine.data.sources import SOURCES, source_of
from mismartera.schemas.errors import ImportDataError, UnknownNameError

SAMPLES = Path(__file__).resolve().parents[3] / ".." / "shared" / "samples" / "spy_2011_01"
EVER = (-(10**16), 10**16)
GOOD = "2025-07-02 13:30,1,2,0.5,1.5,100"


def rows_of(catalog: Catalog, kind: str = "1m") -> list[tuple]:
    table = catalog.read(kind, *EVER)
    return [
        (row["symbol"], row["timestamp"].strftime("%Y-%m-%d %H:%M:%S"), *list(row.values())[2:])
        for row in table.to_pylist()
    ]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def load(tmp_path: Path, text: str, **options) -> tuple[Catalog, object]:
    catalog = Catalog(tmp_path / "catalog")
    source = write(tmp_path / "source.csv", text)
    return catalog, import_path(catalog, source, ImportOptions("csv", **{"symbol": "A", **options}))


@pytest.fixture
def samples() -> Path:
    if not SAMPLES.is_dir():
        pytest.skip("the samples are not beside the repository")
    return SAMPLES


@pytest.mark.samples
def test_the_sample_imports_with_no_further_option(samples, tmp_path):
    catalog = Catalog(tmp_path)
    options = ImportOptions("csv", interval="1m", stamp="end", tz="UTC", symbol="SPY")
    summary = import_path(catalog, samples / "nt-spy-minute-2011.csv", options)
    assert (summary.read, summary.added, summary.quarantined, summary.duplicates) == (14180, 14180, {}, 0)
    stored = pl.DataFrame(pl.from_arrow(catalog.read("1m", *EVER))).with_columns(pl.col("symbol").cast(pl.String))
    wanted = pl.read_parquet(samples / "spy_trade_1m.parquet").select(stored.columns)
    wanted = wanted.with_columns(pl.col("timestamp").dt.cast_time_unit("us"), pl.col("volume").cast(pl.Int64))
    assert stored.equals(wanted.sort("symbol", "timestamp"))
    clock = stored["timestamp"].dt.convert_time_zone("America/New_York").dt.time()
    regular = stored.filter((clock >= dt.time(9, 30)) & (clock < dt.time(16)))
    assert regular.group_by(pl.col("timestamp").dt.date()).len()["len"].to_list() == [390] * 20


@pytest.mark.samples
def test_a_second_import_touches_no_file(samples, tmp_path):
    catalog = Catalog(tmp_path)
    options = ImportOptions("csv", stamp="end", symbol="SPY")
    import_path(catalog, samples / "nt-spy-minute-2011.csv", options)
    files = sorted(tmp_path.rglob("*.parquet"))
    before = [(path.stat().st_mtime_ns, path.stat().st_ino) for path in files]
    again = import_path(catalog, samples / "nt-spy-minute-2011.csv", options)
    assert (again.added, again.replaced, again.unchanged, len(again.partitions)) == (0, 0, 14180, 0)
    assert [(path.stat().st_mtime_ns, path.stat().st_ino) for path in files] == before
    assert sorted(tmp_path.rglob("*.parquet")) == files


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",1,2,0.5,1.5,100", "timestamp missing or unreadable"),
        ("soon,1,2,0.5,1.5,100", "timestamp missing or unreadable"),
        ("2025-07-02 13:31,nan,2,0.5,1.5,100", "price not finite"),
        ("2025-07-02 13:31,1,inf,0.5,1.5,100", "price not finite"),
        ("2025-07-02 13:31,abc,2,0.5,1.5,100", "open is not a number: 'abc'"),
        ("2025-07-02 13:31,1,2,,1.5,100", "low missing"),
        ("2025-07-02 13:31,1,2,0.5,1.5", "volume missing"),
        ("2025-07-02 13:31,1,2,3,1.5,100", "high below low"),
        ("2025-07-02 13:31,3,2,0.5,1.5,100", "high below open"),
        ("2025-07-02 13:31,1,2,0.5,2.5,100", "high below close"),
        ("2025-07-02 13:31,1,2,1.2,1.5,100", "low above open"),
        ("2025-07-02 13:31,1.6,2,1.55,1.5,100", "low above close"),
        ("2025-07-02 13:31,1,2,0.5,1.5,-1", "volume negative"),
        ("2025-07-02 13:31,1,2,0.5,1.5,1.5", "volume not whole"),
        ("2025-07-02 13:31:01,1,2,0.5,1.5,100", "off the 1m grid"),
        (
            "2025-07-02 13:30,1,2,0.5,1.75,100",
            "duplicate in source (a later row has the same symbol and time)",
        ),
        ("2025-07-02 13:31,1,2,0.5,1.5,100,7", "too many fields: '2025-07-02 13:31,1,2,0.5,1.5,100,7'"),
    ],
)
def test_a_bad_row_is_kept_aside_with_its_reason(tmp_path, line, reason):
    catalog, summary = load(tmp_path, f"timestamp,open,high,low,close,volume\n{line}\n\n{GOOD}\n")
    assert rows_of(catalog) == [("A", "2025-07-02 13:30:00", 1.0, 2.0, 0.5, 1.5, 100)]
    assert summary.quarantined == {reason.partition(": ")[0]: 1}
    with summary.quarantine_path.open() as file:
        [row] = csv.DictReader(file)
    assert row["reason"] == reason
    assert (row["row"], row["source"]) == ("2", str(tmp_path / "source.csv"))
    if "too many" not in reason:
        assert row["close"] == line.split(",")[4]
    assert summary.quarantine_path.name.startswith("source.csv-1m-")
    before = sorted((tmp_path / "catalog" / "quarantine").iterdir())
    load(tmp_path, f"timestamp,open,high,low,close,volume\n{line}\n\n{GOOD}\n")
    assert sorted((tmp_path / "catalog" / "quarantine").iterdir()) == before


def test_negative_prices_zero_volume_and_whole_floats_are_fine(tmp_path):
    catalog, summary = load(tmp_path, "2025-07-02 13:30,-2,-1,-3,-1.5,0\n2025-07-02 13:31,1,1,1,1,12.0\n")
    assert [row[2:] for row in rows_of(catalog)] == [(-2.0, -1.0, -3.0, -1.5, 0), (1.0, 1.0, 1.0, 1.0, 12)]
    assert summary.quarantined == {}


def test_exact_copies_are_counted_and_the_last_of_others_wins(tmp_path):
    lines = [GOOD, "2025-07-02 13:31,1,2,0.5,1,1", GOOD, "2025-07-02 13:31,1,2,0.5,1,2", "2025-07-02 13:31,1,2,0.5,1,3"]
    catalog, summary = load(tmp_path, "\n".join(lines))
    assert [row[-1] for row in rows_of(catalog)] == [100, 3]
    assert (summary.read, summary.imported, summary.duplicates, sum(summary.quarantined.values())) == (5, 2, 1, 2)


def test_a_price_column_of_text_is_one_clear_error(tmp_path):
    with pytest.raises(
        ImportDataError, match=r"source\.csv: column open holds text, first 'n/a' at line 2; expected num"
    ):
        load(tmp_path, "timestamp,open,high,low,close,volume\n2025-07-02 13:30,n/a,2,0.5,1.5,100\n")
    assert rows_of(Catalog(tmp_path / "catalog")) == []


@pytest.mark.parametrize(
    ("stamp", "options"),
    [
        ("2025-07-02T13:30:00Z", {}),
        ("2025-07-02T13:30:00.000+00:00", {}),
        ("2025-07-02 09:30:00-04:00", {"tz": "Asia/Tokyo"}),
        ("2025-07-02 09:30", {"tz": "America/New_York"}),
        ("2025/07/02 09:31:00", {"tz": "America/New_York", "stamp": "end"}),
        ("20250702 133000", {}),
        ("20250702 13:30", {}),
        ("20250702133000", {}),
        ("1751463000", {}),
        ("1751463000000", {}),
        ("1751463000000000", {}),
        ("1751463060", {"stamp": "end", "tz": "America/New_York"}),
    ],
)
def test_stamps_of_every_format_mean_the_same_instant(tmp_path, stamp, options):
    catalog, _ = load(tmp_path, f"{stamp},1,2,0.5,1.5,100\n", **options)
    assert rows_of(catalog)[0][1] == "2025-07-02 13:30:00"


def test_local_time_follows_the_clock_change(tmp_path):
    text = "".join(
        f"{stamp},1,1,1,1,1\n"
        for stamp in (
            "2025-03-07 09:30",
            "2025-03-09 02:30",
            "2025-03-10 09:30",
            "2025-11-02 01:30",
            "2025-11-03 09:30",
        )
    )
    catalog, summary = load(tmp_path, text, tz="America/New_York")
    assert [row[1] for row in rows_of(catalog)] == ["2025-03-07 14:30:00", "2025-03-10 13:30:00", "2025-11-03 14:30:00"]
    assert summary.quarantined == {"local time does not exist or occurs twice, as the clock changes": 2}


@pytest.mark.parametrize(
    ("stamp", "options", "label"),
    [
        ("20250702", {"stamp": "end"}, "2025-07-02"),
        ("2025-07-02", {}, "2025-07-02"),
        ("2025-07-02 16:00", {"stamp": "end", "tz": "America/New_York"}, "2025-07-02"),
        ("2025-07-03 00:00", {"stamp": "end", "tz": "America/New_York"}, "2025-07-02"),
        ("2025-07-03T00:30:00Z", {"tz": "America/New_York"}, "2025-07-02"),
        ("2025-07-02 16:00", {}, "2025-07-02"),
    ],
)
def test_a_daily_bar_is_labelled_with_its_local_date(tmp_path, stamp, options, label):
    catalog, _ = load(tmp_path, f"{stamp},1,1,1,1,1\n", interval="1d", **options)
    assert rows_of(catalog, "1d")[0][1] == f"{label} 00:00:00"
    assert catalog.dates("1d") == [dt.date.fromisoformat(label)]


def test_an_hourly_bar_at_half_past_nine_is_on_the_grid(tmp_path):
    catalog, summary = load(tmp_path, "2025-07-02 13:30,1,1,1,1,1\n2025-07-02 13:30:30,1,1,1,1,1\n", interval="60m")
    assert [row[1] for row in rows_of(catalog, "1h")] == ["2025-07-02 13:30:00"]
    assert summary.quarantined == {"off the 1m grid": 1}


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("A,2025-07-02 13:30,1,2,0.5,1.5,100\n", {"symbol": None}),
        ("2025-07-02 13:30;A;1;2;0.5;1.5;100\n", {"symbol": None}),
        ("20250702;133000;1;2;0.5;1.5;100\n", {}),
        ("A\t2025-07-02\t13:30\t1\t2\t0.5\t1.5\t100\n", {"symbol": None}),
        ("2025-07-02 13:30|1|2|0.5|1.5|100|\r\n", {}),
        ("Date,Time,Open,High,Low,Close,Volume\n2025-07-02,13:30,1,2,0.5,1.5,100\n", {}),
        ('"Ticker","Time","O","H","L","C","Vol"\n"A","2025-07-02 13:30","1","2","0.5","1.5","100"\n', {"symbol": None}),
        ("\ufefftime,o,h,l,c,v,spare\n2025-07-02 13:30,1,2,0.5,1.5,100,x\n", {}),
        (
            "when,a,b,c,d,e\n2025-07-02 13:30,1,2,0.5,1.5,100\n",
            {"columns": "when=timestamp,a=open,b=high,c=low,d=close,e=volume"},
        ),
        ("symbol,time,o,h,l,c,v\n A ,2025-07-02 13:30,1,2,0.5,1.5,100\n", {"symbol": "A"}),
        ("B,2025-07-02 13:30,1,2,0.5,1.5,100\n", {"columns": "-,timestamp,open,high,low,close,volume"}),
        ("code,cond,time,o,h,l,c,v\nB,x,2025-07-02 13:30,1,2,0.5,1.5,100\n", {"columns": "code=-,cond=-"}),
        ("ticker,time,o,h,l,c,a\nB,2025-07-02 13:30,1,2,0.5,1.5,100\n", {"columns": "ticker=-,a=volume"}),
        ("100,1.5,0.5,2,1,x,2025-07-02 13:30\n", {"columns": "volume,close,low,high,open,-,timestamp"}),
        ("t/o/h/l/c/v\n20250702 1330/1/2/0.5/1.5/100\n", {"delimiter": "/", "columns": "t=timestamp"}),
    ],
)
def test_every_layout_becomes_the_same_row(tmp_path, text, options):
    catalog, _ = load(tmp_path, text, **options)
    assert rows_of(catalog) == [("A", "2025-07-02 13:30:00", 1.0, 2.0, 0.5, 1.5, 100)]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (GOOD, {"symbol": None}, "no symbol column, and no symbol given"),
        ("time,open,high,low,close\n", {}, "no column for volume; found time, open, high, low, close"),
        ("1,2,3\n", {}, "no header and 3 columns"),
        ("", {}, "the file is empty"),
        (",,,\n", {}, "expected rows of values, got empty ones alone"),
        (GOOD, {"columns": "t=timestamp"}, "the file has no header"),
        ("t,o,h,l,c,v\n", {"columns": "x=timestamp"}, "--columns names 'x'"),
        (GOOD, {"kind": "ticks", "stamp": "end"}, "happen at an instant"),
        (
            "yesterday,1,1,1,1,1\n2025-13-45,1,1,1,1,1\n",
            {"columns": "timestamp,open,high,low,close,volume"},
            "expected times",
        ),
    ],
)
def test_a_source_described_wrongly_is_one_clear_error(tmp_path, text, options, message):
    with pytest.raises(ImportDataError, match=message):
        load(tmp_path, text, **options)


@pytest.mark.parametrize(
    ("text", "found", "way_out"),
    [
        (
            "ticker,time,o,h,l,c,v\nA,2025-07-02 13:30,1,1,1,1,1\nC,2025-07-02 13:30,1,1,1,1,1\n"
            "B,2025-07-02 13:31,1,1,1,1,1\n",
            "column 'ticker' says 'B', 'C'",
            '"ticker=-"',
        ),
        (
            "2025-07-02 13:30,BRK.B,1,1,1,1,1\n",
            "column 2 says 'BRK.B'",
            '"timestamp,-,open,high,low,close,volume"',
        ),
    ],
)
def test_a_symbol_that_contradicts_the_column_is_refused(tmp_path, text, found, way_out):
    with pytest.raises(ImportDataError, match=f"--symbol is 'A', but the {found}") as raised:
        load(tmp_path, text, symbol="A")
    assert way_out in raised.value.hint
    assert not (tmp_path / "catalog").exists()
    catalog, _ = load(tmp_path, text, symbol="A", columns=way_out.strip('"'))
    assert catalog.symbols("1m") == ["A"]


def test_a_symbol_that_contradicts_a_column_of_parquet_is_refused(tmp_path):
    text = "a,sym,time,o,h,l,c\n1,B,2025-07-02 13:30,1,1,1,1\n"
    pl.read_csv(text.encode()).write_parquet(tmp_path / "x.parquet")
    catalog = Catalog(tmp_path / "catalog")
    for columns, way_out in (
        ("a=volume", "a=volume,sym=-"),
        ("volume,symbol,timestamp,open,high,low,close", "volume,-,timestamp,open,high,low,close"),
    ):
        with pytest.raises(ImportDataError, match=r"--symbol is 'A', but the column .* says 'B'") as raised:
            import_path(catalog, tmp_path / "x.parquet", ImportOptions("parquet", symbol="A", columns=columns))
        assert f'--columns "{way_out}"' in raised.value.hint
        told = import_path(catalog, tmp_path / "x.parquet", ImportOptions("parquet", symbol="A", columns=way_out))
        assert told.imported == 1
    assert catalog.symbols("1m") == ["A"]


def test_a_row_without_a_symbol_is_kept_aside_and_not_taken_for_the_option(tmp_path):
    _, summary = load(tmp_path, "symbol,time,o,h,l,c,v\n,2025-07-02 13:30,1,1,1,1,1\nA,2025-07-02 13:31,1,1,1,1,1\n")
    assert (summary.imported, summary.quarantined) == (1, {"symbol missing": 1})


HEADER = "time,open,high,low,close,volume\n"


def test_a_source_without_rows_is_told(tmp_path):
    for name in ("x.csv", "in/a.csv", "in/b.csv"):
        write(tmp_path / name, HEADER)
    pl.read_csv(HEADER.encode()).write_parquet(tmp_path / "x.parquet")
    catalog = Catalog(tmp_path / "catalog")
    for name, told in (("x.csv", "x.csv: no rows"), ("x.parquet", "x.parquet: no rows"), ("in", "in: no rows in 2 fi")):
        options = ImportOptions("parquet" if name.endswith("parquet") else "csv", symbol="A")
        with pytest.raises(ImportDataError, match=told):
            import_path(catalog, tmp_path / name, options)
    assert not catalog.exists()
    write(tmp_path / "in" / "c.csv", f"{HEADER}2025-07-02 13:30,1,1,1,1,1\n")
    summary = import_path(catalog, tmp_path / "in", ImportOptions("csv", symbol="A"))
    assert summary.without_rows == (tmp_path / "in" / "a.csv", tmp_path / "in" / "b.csv")
    assert (summary.files, summary.imported) == (3, 1)


@pytest.mark.parametrize(
    ("zone", "meant"),
    [
        ("America/NewYork", "; did you mean 'America/New_York'?"),
        ("america/new_york", "; did you mean 'America/New_York'?"),
        ("New York", "; did you mean 'America/New_York'?"),
        ("Tokio", "; did you mean 'Asia/Tokyo'?"),
        ("Eastern", "; did you mean 'US/Eastern'?"),
        ("America", ""),
        ("QQ", ""),
    ],
)
def test_an_unknown_zone_names_the_nearest_and_no_other(tmp_path, zone, meant):
    with pytest.raises(ImportDataError) as raised:
        load(tmp_path, GOOD, tz=zone)
    assert str(raised.value) == f"time zone {zone!r} does not exist{meant}"
    assert raised.value.hint == "zones are named by place, such as America/New_York or Europe/London; or UTC"


def test_unknown_columns_name_near_ones(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'open'"):
        load(tmp_path, GOOD, columns="o=opne")


def test_gz_zip_and_folders_are_read_alike(tmp_path):
    catalog = Catalog(tmp_path / "catalog")
    folder = tmp_path / "in"
    folder.mkdir()
    with gzip.open(folder / "a.csv.gz", "wt") as file:
        file.write("A,2025-07-02 13:30,1,1,1,1,1\n")
    with zipfile.ZipFile(folder / "b.zip", "w") as archive:
        archive.writestr("x/b.csv", "BRK.B,2025-07-02 13:30,1,1,1,1,2\n")
        archive.writestr("c.csv", "symbol,time,open,high,low,close,volume\nC,2025-07-02 13:30,1,1,1,1,3\n")
    write(folder / "deeper" / "d.csv", "D,2025-07-03 13:30,1,1,1,1,4\n")
    write(folder / ".hidden.csv", "nonsense")
    told: list[tuple[int, int, str]] = []
    summary = import_path(catalog, folder, ImportOptions("csv"), lambda *state: told.append(state))
    assert [(row[0], row[-1]) for row in rows_of(catalog)] == [("A", 1), ("BRK.B", 2), ("C", 3), ("D", 4)]
    assert (summary.files, told[0], told[-1][:2]) == (3, (0, 3, "a.csv.gz"), (3, 3))
    assert catalog.symbols("1m") == ["A", "BRK.B", "C", "D"]


@pytest.mark.parametrize("suffix", [".csv.gz", ".zip", ".parquet"])
def test_a_truncated_file_is_told_and_imports_nothing(tmp_path, suffix):
    text = "".join(f"2025-07-02 13:{minute:02},1,1,1,1,{minute * 977}\n" for minute in range(60))
    path = tmp_path / f"cut{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", text)
    elif suffix == ".parquet":
        pl.read_csv(text.encode(), has_header=False).write_parquet(path)
    else:
        path.write_bytes(gzip.compress(text.encode()))
    path.write_bytes(path.read_bytes()[:-40])
    catalog = Catalog(tmp_path / "catalog")
    with pytest.raises(ImportDataError, match=r"cut\S+: (truncated|not a whole)"):
        import_path(catalog, path, ImportOptions("parquet" if suffix == ".parquet" else "csv", symbol="A"))
    assert not catalog.exists()


def test_small_blocks_give_what_one_does(tmp_path, monkeypatch):
    text = "time,open,high,low,close,volume\n" + "".join(
        f"2025-07-02 {13 + n // 60}:{n % 60:02},1,1,1,1,{n}\n" for n in range(200)
    )
    monkeypatch.setattr("mismartera.engine.data.csv_records.BLOCK_BYTES", 100)
    monkeypatch.setattr("mismartera.engine.data.importer.CHUNK_ROWS", 7)
    catalog, summary = load(tmp_path, text + "bad,1,1,1,1,1")
    assert [row[-1] for row in rows_of(catalog)] == list(range(200))
    assert summary.quarantined == {"timestamp missing or unreadable": 1}
    assert ",202," in summary.quarantine_path.read_text()


def test_unsorted_rows_come_out_sorted(tmp_path):
    catalog, _ = load(
        tmp_path,
        "B,2025-07-03 13:31,1,1,1,1,4\nB,2025-07-02 13:30,1,1,1,1,3\n"
        "A,2025-07-03 13:30,1,1,1,1,2\nA,2025-07-02 13:31,1,1,1,1,1",
        symbol=None,
    )
    assert [(row[0], row[-1]) for row in rows_of(catalog)] == [("A", 1), ("A", 2), ("B", 3), ("B", 4)]


@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_parquet_with_other_names_types_and_zones(tmp_path, zone):
    stamps = pa.array([1751463000000], pa.timestamp("ms", zone))
    table = pa.table(
        {
            "ticker": pa.array(["A"]).dictionary_encode(),
            "time": stamps,
            "o": [1],
            "h": [2],
            "l": [0.5],
            "c": [1.5],
            "vol": [100.0],
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    catalog = Catalog(tmp_path / "catalog")
    import_path(catalog, tmp_path / "x.parquet", ImportOptions("parquet"))
    assert rows_of(catalog) == [("A", "2025-07-02 13:30:00", 1.0, 2.0, 0.5, 1.5, 100)]


def lean_zip(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(path.name.replace(".zip", ".csv"), text)


def test_lean_folders(tmp_path):
    usa = tmp_path / "equity" / "usa"
    lean_zip(usa / "minute" / "spy" / "20250702_trade.zip", "34200000,6177700,6180000,6177600,6179900,1200\n")
    lean_zip(usa / "minute" / "brk.b" / "20250102_trade.zip", "34200000,4500000,4500100,4499900,4500000,7\n")
    lean_zip(usa / "minute" / "spy" / "20250702_quote.zip", "34200000,1,1,1,6177700,3,1,1,1,6177800,4\n")
    lean_zip(usa / "daily" / "spy.zip", "20250702 00:00,6177700,6180000,6177600,6179900,99\n")
    lean_zip(usa / "tick" / "spy" / "20250702_trade.zip", "34200001,6177700,5,P,0,0\n34200001,6177700,5,P,0,0\n")
    catalog = Catalog(tmp_path / "catalog")
    for _ in range(2):
        import_path(catalog, tmp_path / "equity", ImportOptions("lean"))
        import_path(catalog, tmp_path / "equity", ImportOptions("lean", interval="1d"))
        import_path(catalog, tmp_path / "equity", ImportOptions("lean", kind="quotes"))
        import_path(catalog, usa / "tick" / "spy" / "20250702_trade.zip", ImportOptions("lean", kind="ticks"))
    assert rows_of(catalog) == [
        ("BRK.B", "2025-01-02 14:30:00", 450.0, 450.01, 449.99, 450.0, 7),
        ("SPY", "2025-07-02 13:30:00", 617.77, 618.0, 617.76, 617.99, 1200),
    ]
    assert rows_of(catalog, "1d") == [("SPY", "2025-07-02 00:00:00", 617.77, 618.0, 617.76, 617.99, 99)]
    assert rows_of(catalog, "quotes") == [("SPY", "2025-07-02 13:31:00", 617.77, 617.78, 3, 4)]
    assert rows_of(catalog, "ticks") == [("SPY", "2025-07-02 13:30:00", 617.77, 5, "P")] * 2
    with pytest.raises(ImportDataError, match="LEAN has no bars of 5m"):
        import_path(catalog, tmp_path / "equity", ImportOptions("lean", interval="5m"))
    with pytest.raises(ImportDataError, match="no LEAN file of bars second"):
        import_path(catalog, tmp_path / "equity", ImportOptions("lean", interval="1s"))


def test_ticks_that_are_alike_stay_and_come_only_once(tmp_path):
    text = "2025-07-02 13:30:00.25,10,5,Q\n2025-07-02 13:30:00.25,10,5,Q\n2025-07-02 13:30:00.25,9,5,\n"
    catalog, first = load(tmp_path, text, kind="ticks")
    _, second = load(tmp_path, text, kind="ticks")
    assert [row[2:] for row in rows_of(catalog, "ticks")] == [(10.0, 5, "Q"), (10.0, 5, "Q"), (9.0, 5, None)]
    assert (first.added, second.added, second.unchanged) == (3, 0, 3)


def test_overlapping_files_of_ticks_count_once(tmp_path):
    write(tmp_path / "in" / "1.csv", "2025-07-02 13:30,10,5\n2025-07-02 13:30,10,5\n")
    write(tmp_path / "in" / "2.csv", "2025-07-02 13:30,10,5\n2025-07-02 13:31,10,5\n")
    catalog = Catalog(tmp_path / "catalog")
    summary = import_path(catalog, tmp_path / "in", ImportOptions("csv", kind="ticks", symbol="A"))
    assert (summary.read, summary.added, summary.duplicates) == (4, 3, 1)


def test_quotes(tmp_path):
    catalog, summary = load(
        tmp_path,
        "time,bid,ask,bid_size,ask_size\n2025-07-02 13:30:00.001,1,1.01,100,200\n2025-07-02 13:30,1,x,1,1\n",
        kind="quotes",
    )
    assert rows_of(catalog, "quotes") == [("A", "2025-07-02 13:30:00", 1.0, 1.01, 100, 200)]
    assert summary.quarantined == {"ask is not a number": 1}


def test_a_source_is_one_module_and_one_line(tmp_path, monkeypatch):
    """A format of its own: rows from a module that is only named in `SOURCES`."""
    module = types.ModuleType("mismartera.engine.data.word_source")
    module.SUFFIXES, module.ZONE = (".word",), "America/New_York"
    module.select = lambda paths, options: paths
    module.read = lambda path, options: [
        pl.DataFrame(
            {
                "source": [str(path)],
                "row": [1],
                "symbol": [path.read_text()],
                "timestamp": ["2025-07-02 09:30"],
                **{name: [1] for name in options.fields[1:]},
            }
        )
    ]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(SOURCES, "word", "word_source")
    write(tmp_path / "in" / "x.word", "RIVN")
    catalog = Catalog(tmp_path / "catalog")
    assert import_path(catalog, tmp_path / "in", ImportOptions("word")).imported == 1
    assert rows_of(catalog) == [("RIVN", "2025-07-02 13:30:00", 1.0, 1.0, 1.0, 1.0, 1)]


def test_every_source_has_what_a_source_needs():
    for name in SOURCES:
        source = source_of(name)
        assert all(suffix.startswith(".") for suffix in source.SUFFIXES)
        assert callable(source.select)
        assert callable(source.read)
        assert source.ZONE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "xml"}, "invalid format: expected csv, parquet, lean, got 'xml'"),
        ({"kind": "news"}, "invalid kind: expected bars, ticks, quotes, got 'news'"),
        ({"stamp": "middle"}, "invalid stamp: expected start, end, got 'middle'"),
        ({"delimiter": "::"}, "invalid delimiter: expected one character, got '::'"),
    ],
)
def test_options_that_are_none_are_one_clear_error(tmp_path, options, message):
    with pytest.raises(ImportDataError) as raised:
        import_path(Catalog(tmp_path), tmp_path, ImportOptions(**{"format": "csv", **options}))
    assert str(raised.value) == message
