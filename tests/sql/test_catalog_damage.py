"""A flipped bit in a partition: refused by engine, `data verify` and SQL with one line, or proven to change nothing."""

from __future__ import annotations

import datetime as dt
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from mismartera.cli.main import main
from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.generate import generate
from mismartera.engine.data.partition import open_file
from mismartera.engine.data.verify import verify
from mismartera.schemas.errors import CatalogError
from mismartera.sql.catalog.open_catalog import open_catalog

EVER = (-(10**16), 10**16)
FLIPS = 200
FIRST, LAST = dt.date(2025, 7, 2), dt.date(2025, 7, 3)
ROWS = "SELECT * FROM bars ORDER BY ALL"


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("sound")
    generate(Catalog(root), 2, FIRST, LAST, seed=5)
    return root


@pytest.fixture
def catalog(sound, tmp_path) -> Catalog:
    shutil.copytree(sound, tmp_path / "catalog")
    return Catalog(tmp_path / "catalog")


def part(catalog: Catalog, day: dt.date) -> Path:
    return catalog.root / "bars" / "interval=1m" / f"date={day}" / "part-0.parquet"


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def flip_in(path: Path, name: str) -> None:
    """Flip the lowest bit in the middle of a column's pages, which decodes to another value without a word."""
    chunk = pq.read_metadata(path).row_group(0).column(pq.read_schema(path).names.index(name))
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    flip(path, 8 * (start + chunk.total_compressed_size // 2))


def read(catalog: Catalog):
    return catalog.read("1m", *EVER)


def ask(catalog: Catalog):
    with open_catalog(catalog) as session:
        return session.query(ROWS)


def refuses(is_unchanged: Callable[[], bool], path: Path) -> bool:
    """Return whether a reader refuses the file, in one line that names it; what it reads instead must be unchanged."""
    try:
        assert is_unchanged(), "other rows were read"
    except CatalogError as error:
        message = str(error)
    else:
        return False
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return True


def bits_of(path: Path) -> list[int]:
    """Seeded bits: half anywhere in the file, half in its last part, where the footer is."""
    chosen, size = random.Random(17), path.stat().st_size * 8
    footer = int.from_bytes(path.read_bytes()[-8:-4], "little") * 8
    anywhere = [chosen.randrange(size) for _ in range(FLIPS // 2)]
    return anywhere + [chosen.randrange(size - footer - 1600, size) for _ in range(FLIPS - len(anywhere))]


def test_every_flipped_bit_is_refused_by_all_or_changes_nothing(catalog):
    path = part(catalog, LAST)
    content, rows, answer = path.read_bytes(), read(catalog), ask(catalog)
    refused = 0
    for bit in bits_of(path):
        flip(path, bit)
        results = [
            refuses(lambda: read(catalog).equals(rows), path),
            refuses(lambda: ask(catalog).equals(answer), path),
        ]
        results.append([problem.path for problem in verify(catalog).problems] == [path])
        assert len(set(results)) == 1, f"bit {bit}: engine, SQL and verify refuse: {results}"
        refused += results[0]
        path.write_bytes(content)
    assert refused > FLIPS * 0.9


def test_the_command_names_the_file_in_one_line(catalog, capsys):
    flip_in(part(catalog, LAST), "close")
    assert main(["sql", ROWS, "--catalog", str(catalog.root)]) == 1
    out, err = capsys.readouterr()
    message = f"error: {part(catalog, LAST)}: damaged: column close does not fit its checksum\nhint: delete the file"
    assert (out, err.startswith(message), err.count("\n")) == ("", True, 2)
    assert main(["data", "verify", "--catalog", str(catalog.root)]) == 1
    out, _ = capsys.readouterr()
    assert f"{part(catalog, LAST)}: damaged: column close does not fit its checksum\n" in out


def test_only_a_query_that_needs_a_damaged_partition_is_refused_and_each_time(catalog):
    flip_in(part(catalog, FIRST), "volume")
    with open_catalog(catalog) as session:
        assert session.query(f"SELECT count(*) AS n FROM bars WHERE session_date = '{LAST}'")["n"][0].as_py() > 400
        for _ in range(2):
            with pytest.raises(CatalogError, match="column volume does not fit its checksum"):
                session.query("SELECT sum(volume) FROM bars")
        assert session.query("SELECT sum(volume) FROM session_bars").num_rows == 1


def test_a_query_that_stops_on_damaged_rows_names_the_file(catalog):
    flip_in(part(catalog, LAST), "close")
    with (
        open_catalog(catalog) as session,
        pytest.raises(CatalogError, match="column close does not fit its checksum"),
    ):
        session.query("SELECT close, error('stop') FROM bars")


def test_a_file_mended_while_a_session_is_open_answers_again(catalog):
    path = part(catalog, LAST)
    content = path.read_bytes()
    with open_catalog(catalog) as session:
        flip_in(path, "close")
        with pytest.raises(CatalogError, match="damaged"):
            session.query(ROWS)
        path.write_bytes(content)
        assert session.query(ROWS).num_rows == read(catalog).num_rows


def test_the_engine_checks_only_what_it_reads(catalog):
    flip_in(part(catalog, LAST), "close")
    assert catalog.symbols("1m") == ["SYM0001", "SYM0002"]
    with pytest.raises(CatalogError, match="column close does not fit its checksum"):
        read(catalog)


def test_other_readers_take_a_sealed_file_as_any(catalog):
    path = part(catalog, LAST)
    whole = pq.read_table(path, partitioning=None, page_checksum_verification=True)
    assert pl.from_arrow(whole).equals(pl.read_parquet(path, hive_partitioning=False))
    assert open_file(path).seal is not None


def test_files_of_others_are_read_and_verify_says_that_they_have_no_checksums(catalog, capsys):
    path = part(catalog, LAST)
    rows = read(catalog)
    pl.read_parquet(path, hive_partitioning=False).write_parquet(path)
    assert read(catalog).equals(rows)
    assert verify(catalog).problems == ()
    assert verify(catalog).without_checksums == (path,)
    assert main(["data", "verify", "--catalog", str(catalog.root)]) == 0
    assert f"no checksums in {path}: written by another program" in capsys.readouterr().out


def test_page_checksums_of_others_are_checked(catalog):
    path = part(catalog, LAST)
    pq.write_table(pq.read_table(path, partitioning=None), path, write_page_checksum=True)
    flip_in(path, "close")
    with pytest.raises(CatalogError, match=r"not a whole Parquet file: .*CRC"):
        read(catalog)
    assert [problem.path for problem in verify(catalog).problems] == [path]
