"""Verification finds each kind of damage, and says where it is."""

from __future__ import annotations

import datetime as dt
import shutil

import polars as pl
import pytest

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.generate import generate
from mismartera.engine.data.verify import verify
from mismartera.schemas.errors import CatalogError

DAY = dt.date(2025, 7, 2)


@pytest.fixture
def catalog(tmp_path) -> Catalog:
    catalog = Catalog(tmp_path / "catalog")
    generate(catalog, 2, DAY, DAY, daily=True, ticks=True, missing=0)
    return catalog


def test_a_sound_catalog_has_no_problem(catalog):
    summary = verify(catalog)
    assert (summary.partitions, summary.files, summary.problems) == (3, 3, ())
    assert summary.rows > 782


def change(name, value):
    first = pl.int_range(pl.len()) == 0
    return lambda frame: frame.with_columns(pl.when(first).then(value).otherwise(name).alias(name))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda frame: frame.reverse(), "out of order by symbol and timestamp"),
        (lambda frame: pl.concat([frame.head(1), frame]), "2 rows share their symbol and timestamp with another"),
        (
            change("timestamp", pl.col("timestamp").dt.offset_by("-1d")),
            "1 rows on another date than the folder's 2025-07-02",
        ),
        (
            change("timestamp", pl.col("timestamp").dt.offset_by("1s")),
            "1 rows off the 1m grid, first SYM0001 2025-07-02 13:30:01",
        ),
        (change("open", pl.lit(float("nan"))), "1 rows with open not finite"),
        (change("high", pl.lit(0.0)), "1 rows with high below open, low or close"),
        (change("low", pl.lit(1e9)), "1 rows with low above open, high or close"),
        (change("volume", pl.lit(-1)), "1 rows with volume negative"),
        (lambda frame: frame.drop("close"), "it lacks close"),
        (lambda frame: frame.with_columns(pl.col("volume").cast(pl.String) + "x"), "column types do not fit"),
        (lambda frame: frame.head(0), "the file holds no row"),
    ],
)
def test_each_kind_of_damage_is_found(catalog, damage, problem):
    path = catalog.root / "bars" / "interval=1m" / "date=2025-07-02" / "part-0.parquet"
    damage(pl.read_parquet(path, hive_partitioning=False)).write_parquet(path)
    problems = verify(catalog).problems
    assert any(problem in found.problem and found.path == path for found in problems), problems


def test_truncated_files_odd_folders_and_empty_partitions_are_found(catalog):
    one = catalog.root / "bars" / "interval=1m"
    path = one / "date=2025-07-02" / "part-0.parquet"
    (one / "date=2025-07-04").mkdir()
    shutil.copytree(one / "date=2025-07-02", one / "date=tomorrow")
    shutil.copytree(one, catalog.root / "bars" / "interval=60m")
    shutil.copytree(one, catalog.root / "bars" / "interval=odd")
    path.write_bytes(path.read_bytes()[:-9])
    found = {str(each.path.relative_to(catalog.root)): each.problem for each in verify(catalog).problems}
    assert "not a whole Parquet file" in found["bars/interval=1m/date=2025-07-02/part-0.parquet"]
    assert "no Parquet file" in found["bars/interval=1m/date=2025-07-04"]
    assert "holds no date" in found["bars/interval=1m/date=tomorrow"]
    assert "interval=1h" in found["bars/interval=60m"]
    assert "no interval" in found["bars/interval=odd"]
    assert len(found) == 5


def test_keys_shared_by_two_files_are_found(catalog):
    path = catalog.root / "bars" / "interval=1m" / "date=2025-07-02" / "part-0.parquet"
    shutil.copy(path, path.with_name("part-1.parquet"))
    assert [each.problem for each in verify(catalog).problems] == [
        "1560 rows share their symbol and timestamp with another"
    ]


def test_no_catalog_is_an_error(tmp_path):
    with pytest.raises(CatalogError, match="no catalog"):
        verify(Catalog(tmp_path / "none"))
