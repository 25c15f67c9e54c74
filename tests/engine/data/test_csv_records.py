"""CSV: quotes, line breaks, ragged and empty records; every record is read, with the line it starts on."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mismartera.engine.data import csv_records
from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.csv_records import CsvRecords
from mismartera.engine.data.importer import import_path
from mismartera.engine.data.options import ImportOptions
from mismartera.schemas.errors import ImportDataError

HEADER = "time,open,high,low,close,volume"
GOOD = "2025-07-02 13:30,1,2,0.5,1.5,100"
EVER = (-(10**16), 10**16)


def records(text: str | bytes, delimiter: str | None = ",") -> list[tuple]:
    raw = text if isinstance(text, bytes) else text.encode()
    return [row for frame in CsvRecords("x", io.BytesIO(raw), delimiter).frames() for row in frame.rows()]


def load(tmp_path: Path, text: str, **options):
    (tmp_path / "x.csv").write_bytes(text.encode())
    catalog = Catalog(tmp_path / "catalog")
    summary = import_path(catalog, tmp_path / "x.csv", ImportOptions("csv", **{"symbol": "A", **options}))
    return catalog.read("1m", *EVER).to_pylist(), summary


def reasons(summary) -> list[tuple[str, str]]:
    with summary.quarantine_path.open(newline="") as file:
        return [(row["row"], row["reason"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a,b\n1,2", [(1, "a", "b", None), (2, "1", "2", None)]),
        ("\ufeffa,b\r\n\r\n1,2\r\n", [(1, "a", "b", None), (3, "1", "2", None)]),
        ("a,b\r1,2\r", [(1, "a", "b", None), (2, "1", "2", None)]),
        ("\n  \na,b\n,,\n1,2\n", [(3, "a", "b", None), (5, "1", "2", None)]),
        ('"a, b","say ""yes"""\n1,2\n', [(1, "a, b", 'say "yes"', None), (2, "1", "2", None)]),
        ('a,b\n"1\n\n2",3\n4,5\n', [(1, "a", "b", None), (2, "1\n\n2", "3", None), (5, "4", "5", None)]),
        ('a,b\n"1\n2"\n3,4\n', [(1, "a", "b", None), (2, "1\n2", None, None), (4, "3", "4", None)]),
        ("a,b\n1,2,3\n4,5\n", [(1, "a", "b", None), (2, "1", "2", "1,2,3"), (3, "4", "5", None)]),
        ("a,b\n1,2,\n4,5,,\n", [(1, "a", "b", None), (2, "1", "2", None), (3, "4", "5", None)]),
        ("a,b\n1,2,3\n4,5,6\n", [(1, "a", "b", None), (2, "1", "2", "1,2,3"), (3, "4", "5", "4,5,6")]),
        ("a,b\n1\n2\n3\n", [(1, "a", "b", None), (2, "1", None, None), (3, "2", None, None), (4, "3", None, None)]),
        (b"a,b\n\xe9,2\n", [(1, "a", "b", None), (2, "\N{REPLACEMENT CHARACTER}", "2", None)]),
        ('a,5" pipe\n1,2\n', [(1, "a", '5" pipe', None), (2, "1", "2", None)]),
    ],
)
def test_records_and_their_lines(text, wanted):
    trimmed = [(row[0], *row[1:3], row[-1]) for row in records(text)]
    assert trimmed == wanted


VALUES = st.text(st.sampled_from('ab1 ,;"\n\u00e9\u20ac'), max_size=5)
TABLES = st.lists(st.lists(VALUES, min_size=1, max_size=6), min_size=1, max_size=30)


@given(TABLES, st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]), st.sampled_from(["\n", "\r\n"]), st.integers(0, 2))
def test_every_record_with_a_value_is_read_with_its_line(table, quoting, end, block):
    """Against the standard library's reader, which knows the line of each record."""
    text = io.StringIO()
    csv.writer(text, lineterminator=end, quoting=quoting).writerows([["first", "record"], *table])
    reader, wanted, line = csv.reader(io.StringIO(text.getvalue(), newline="")), [], 1
    for fields in reader:
        if any(map(str.strip, fields)):
            wanted.append((line, fields))
        line = reader.line_num + 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_records, "BLOCK_BYTES", (64, 500, 2**20)[block])
        try:
            found = records(text.getvalue())
        except ImportDataError:  # a record that is longer than a block is refused, never lost
            if block == 2:
                raise
            return
    assert [row[0] for row in found] == [line for line, _ in wanted]
    for row, (_, fields) in zip(found, wanted, strict=True):
        kept = [value for value in row[1:-1] if value is not None]
        assert kept[: len(fields)] == fields[: len(kept)]
        assert not any(kept[len(fields) :])
        assert (row[-1] is not None) == any(map(str.strip, fields[2:]))


def test_thousands_in_quotes_are_numbers(tmp_path):
    rows, summary = load(tmp_path, f'{HEADER}\n2025-07-02 13:30,"1,200.5","2,000",950,"1,000","12,345,678"\n')
    assert [list(row.values())[2:] for row in rows] == [[1200.5, 2000.0, 950.0, 1000.0, 12345678]]
    assert summary.quarantined == {}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (f'{HEADER}\n2025-07-02 13:30,"1,200","1,5",1,1,1\n{GOOD}\n', "1,5"),
        (f"{HEADER}\n{GOOD}\n".replace(",", ";") + "2025-07-02 13:31;1;1;1;1,200;1\n", "1,200"),
    ],
)
def test_a_comma_that_may_be_a_decimal_one_is_not_taken_out(tmp_path, text, number):
    rows, summary = load(tmp_path, text)
    assert len(rows) == 1
    assert number in reasons(summary)[0][1]
    assert summary.read == 2


def test_ragged_rows_are_kept_aside_with_their_lines(tmp_path):
    lines = [HEADER, GOOD, "", "2025-07-02 13:31,1,2", "2025-07-02 13:32,1,2,0.5,1.5,100,7,8", "lonely", ",,,,,"]
    rows, summary = load(tmp_path, "\n".join(lines))
    assert (len(rows), summary.read) == (1, 4)
    assert reasons(summary) == [
        ("4", "low missing"),
        ("5", f"too many fields: '{lines[4]}'"),
        ("6", "timestamp missing or unreadable"),
    ]


def test_a_value_that_swallowed_lines_is_kept_aside_with_all_of_them(tmp_path):
    swallowed = '2025-07-02 13:31,1,2,0.5,1.5,"100\n2025-07-02 13:32,1,2,0.5,1.5,100\n"'
    rows, summary = load(tmp_path, f"{HEADER}\n{GOOD}\n{swallowed}\n2025-07-02 13:33,1,2,0.5,x,100\n")
    assert len(rows) == 1
    assert summary.quarantined == {"line break in a value": 1, "close is not a number": 1}
    [first, second] = reasons(summary)
    assert "2025-07-02 13:32,1,2,0.5,1.5,100" in first[1]
    assert (first[0], second[0]) == ("3", "6")


@pytest.mark.parametrize("tail", ['1.5,"100\n', '1.5,100,"note\n'])
def test_a_quote_that_is_never_closed_is_an_error(tmp_path, tail):
    names = HEADER + (",note" if "note" in tail else "")
    good = GOOD + (",x" if "note" in tail else "")
    with pytest.raises(ImportDataError, match="a quote is not closed") as raised:
        load(tmp_path, f"{names}\n{good}\n2025-07-02 13:31,1,2,0.5,{tail}{good}\n{good}\n")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "catalog").exists()


def test_a_quote_that_reaches_over_blocks_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_records, "BLOCK_BYTES", 200)
    with pytest.raises(ImportDataError, match=r"x\.csv: cannot be split into records after line \d+: ") as raised:
        load(tmp_path, f'{HEADER}\n{GOOD}\n2025-07-02 13:31,1,2,0.5,1.5,"100\n' + f"{GOOD}\n" * 50)
    assert "\n" not in str(raised.value)
    assert "quote" in raised.value.hint


def test_utf_16_is_an_error():
    with pytest.raises(ImportDataError, match="the text is UTF-16; expected UTF-8"):
        records("a,b\n".encode("utf-16"))


def test_a_gzip_cut_short_behind_the_first_block_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_records, "BLOCK_BYTES", 4096)
    lines = [f"2025-07-02 {13 + n // 60}:{n % 60:02},1,2,0.5,1.5,{n * 7919 % 1000}" for n in range(600)]
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode())[:-20])
    with pytest.raises(ImportDataError, match=r"x\.csv\.gz: truncated or damaged"):
        import_path(Catalog(tmp_path / "catalog"), tmp_path / "x.csv.gz", ImportOptions("csv", symbol="A"))


@pytest.mark.parametrize(
    ("stamp", "form", "options"),
    [
        ("02/07/2025 13:30", "%d/%m/%Y %H:%M", {}),
        ("07/02/2025 01:30 PM", "%m/%d/%Y %I:%M %p", {}),
        ("2.7.25 13:30:00.000", "%d.%m.%y %H:%M:%S%.f", {}),
        ("02-Jul-2025 09:30", "%d-%b-%Y %H:%M", {"tz": "America/New_York"}),
        ("02/07/2025 09:30 -0400", "%d/%m/%Y %H:%M %z", {}),
        ("02/07/2025,13:30", "%d/%m/%Y %H:%M", {}),
        ("20250702", "%Y%m%d", {"interval": "1d"}),
    ],
)
def test_dates_are_read_by_the_format_given(tmp_path, stamp, form, options):
    columns = "date,time" if "," in stamp else "time"
    text = f"{columns},open,high,low,close,volume\n{stamp},1,2,0.5,1.5,100\n{stamp[:-1]}?,1,2,0.5,1.5,100\n"
    _, summary = load(tmp_path, text, date_format=form, **options)
    kind = options.get("interval", "1m")
    [row] = Catalog(tmp_path / "catalog").read(kind, *EVER).to_pylist()
    assert f"{row['timestamp']:%Y-%m-%d %H:%M}" == ("2025-07-02 00:00" if kind == "1d" else "2025-07-02 13:30")
    assert summary.quarantined == {"timestamp missing or unreadable": 1}


@pytest.mark.parametrize("form", ["%H:%M", "no", "%d/%m", "%q", "", "%Y-%j %H", "%d/%m/%Y %H:%M:%S.%f"])
def test_a_format_that_reads_no_date_is_an_error(tmp_path, form):
    with pytest.raises(ImportDataError, match=r"invalid date format: expected .*, got"):
        load(tmp_path, f"{HEADER}\n{GOOD}\n", date_format=form)


def test_a_date_format_for_what_is_no_text_is_an_error(tmp_path):
    (tmp_path / "20250702_trade.csv").write_text("34200000,1,1,1,1,1\n")
    options = ImportOptions("lean", symbol="SPY", date_format="%d/%m/%Y")
    with pytest.raises(ImportDataError, match="expected timestamps as texts, got Datetime"):
        import_path(Catalog(tmp_path / "catalog"), tmp_path / "20250702_trade.csv", options)


def test_dates_of_another_order_name_the_option(tmp_path):
    with pytest.raises(ImportDataError, match="column timestamp holds text, first '13/07/2025 13:30'") as raised:
        load(tmp_path, f"{HEADER}\n13/07/2025 13:30,1,2,0.5,1.5,100\n")
    assert "--date-format" in raised.value.hint
