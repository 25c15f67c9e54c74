"""Files that others put into a catalog: timestamps without a zone are UTC, as the engine reads them, in any unit."""

from __future__ import annotations

import datetime as dt
import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.generate import generate
from mismartera.sql.catalog.open_catalog import open_catalog

KINDS = ("bars/interval=1m", "bars/interval=1d", "ticks")
QUERIES = (
    "SELECT * FROM bars ORDER BY ALL",
    "SELECT * FROM ticks ORDER BY ALL",
    "SELECT * FROM gaps ORDER BY ALL",
    "SELECT * FROM quality ORDER BY ALL",
    "SELECT * FROM session_metrics ORDER BY ALL",
)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    folder = tmp_path_factory.mktemp("[it's] ours")
    window = dt.date(2024, 12, 3), dt.date(2024, 12, 5)
    generate(Catalog(folder), ["A", "B"], *window, seed=4, missing=0.1, daily=True, ticks=True, extended_hours=True)
    return folder


def rewrite(path, unit, zone):
    """Write a partition anew, its timestamps in another unit and zone."""
    table = pq.ParquetFile(path).read()
    naive = table["timestamp"].cast(pa.timestamp("us")).cast(pa.timestamp(unit), safe=False)
    stamps = naive if zone is None else naive.cast(pa.timestamp(unit, "UTC")).cast(pa.timestamp(unit, zone))
    pq.write_table(table.set_column(1, "timestamp", stamps), path.with_name("data.parquet"))
    path.unlink()


@pytest.mark.parametrize("place", [slice(0, 1), slice(1, 2), slice(None)], ids=["first", "second", "all"])
@pytest.mark.parametrize(
    ("unit", "zone"), [("us", None), ("ns", None), ("ns", "UTC"), ("us", "Asia/Tokyo")], ids=lambda value: str(value)
)
def test_another_type_is_the_same_instant(ours, tmp_path, unit, zone, place):
    theirs = tmp_path / "[it's] theirs"
    shutil.copytree(ours, theirs)
    for kind in KINDS:
        for path in sorted((theirs / kind).rglob("*.parquet"))[place]:
            rewrite(path, unit, zone)
    with open_catalog(ours) as wanted, open_catalog(theirs) as found:
        for query in QUERIES:
            assert found.query(query).to_pylist() == wanted.query(query).to_pylist(), query


def test_milliseconds_and_several_types_at_once(ours, tmp_path):
    shutil.copytree(ours, tmp_path / "theirs")
    paths = sorted((tmp_path / "theirs/bars/interval=1m").rglob("*.parquet"))
    for path, (unit, zone) in zip(paths, [("ms", None), ("ns", None), ("ms", "UTC")], strict=False):
        rewrite(path, unit, zone)
    with open_catalog(ours) as wanted, open_catalog(tmp_path / "theirs") as found:
        for query in (QUERIES[0], *QUERIES[2:]):
            assert found.query(query).to_pylist() == wanted.query(query).to_pylist(), query


def test_partitions_are_ruled_out_as_ever(ours, tmp_path):
    shutil.copytree(ours, tmp_path / "theirs")
    for path in sorted((tmp_path / "theirs/bars/interval=1d").rglob("*.parquet"))[:2]:
        rewrite(path, "us", None)
    with open_catalog(tmp_path / "theirs") as session:
        query = "EXPLAIN SELECT sum(volume) FROM bars WHERE interval = '1d' AND session_date = '2024-12-04'"
        plan = session.query(query).column("explain_value")[0].as_py()
    opened = [found for found in re.findall(r"Scanning Files: (\d+/\d+)", plan) if not found.startswith("0/")]
    assert opened == ["1/2"]


@pytest.mark.parametrize("mixed", [False, True])
def test_a_damaged_file_is_of_no_matter_to_who_does_not_ask_for_it(ours, tmp_path, mixed):
    shutil.copytree(ours, tmp_path / "theirs")
    if mixed:
        rewrite(sorted((tmp_path / "theirs/bars/interval=1m").rglob("*.parquet"))[0], "us", None)
    sorted((tmp_path / "theirs/bars/interval=1d").rglob("*.parquet"))[1].write_bytes(b"PAR1 nothing PAR1")
    with open_catalog(tmp_path / "theirs") as session:
        count = "SELECT count(*) AS n FROM bars WHERE interval = '1m' AND session_date = '2024-12-04'"
        assert session.query(count).to_pylist()[0]["n"] > 0
        with pytest.raises(Exception, match=r"part-0\.parquet"):
            session.query("SELECT count(close) FROM bars WHERE interval = '1d'")
