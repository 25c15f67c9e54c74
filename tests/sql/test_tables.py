"""The same tables with the same columns and types, whichever is asked; and the ready queries run on all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mismartera.schemas.errors import UnknownNameError
from mismartera.sql.catalog.open_catalog import open_catalog
from mismartera.sql.database import Database, Limits
from mismartera.sql.examples import example, examples
from mismartera.sql.exports.open_exports import open_exports
from mismartera.sql.live.live_sql import LiveSql
from mismartera.sql.session import SqlSession
from mismartera.sql.tables import ARROW_TYPES, SQL_TABLES
from mismartera.sql.views import template

from .conftest import types_of

DOCUMENTED = {name: [(column.name, column.type) for column in table.columns] for name, table in SQL_TABLES.items()}
ASKED = {
    "live": lambda run: LiveSql(run.system.sql_facts).open(run.system.snapshot),
    "json": lambda run: open_exports([run.exports / "complete.json"]),
    "parquet": lambda run: open_exports([run.exports / "complete.parquet"]),
    "a chain": lambda run: open_exports([run.exports / "mixed"]),
    "catalog": lambda run: open_catalog(run.catalog),
    "nothing": lambda run: SqlSession(Database(Limits()), Limits(), {}, owns_database=True),
}


@pytest.fixture(params=ASKED)
def session(request, run):
    with ASKED[request.param](run) as session:
        yield session


def test_every_table_has_the_documented_columns_and_types(session):
    assert types_of(session) == DOCUMENTED


def test_answers_have_the_documented_arrow_types(session):
    for name, table in SQL_TABLES.items():
        schema = session.query(f"SELECT * FROM {name} LIMIT 1").schema
        for column in table.columns:
            wanted, found = ARROW_TYPES[column.type], schema.field(column.name).type
            assert found == wanted or (column.type == "TIMESTAMPTZ" and found.unit == "us" and found.tz), name


@pytest.mark.parametrize("name", examples())
def test_every_ready_query_runs(session, name):
    assert session.query(example(name).text).num_columns >= 2


def test_the_ready_queries_are_those_promised():
    wanted = {
        "worst_quality", "longest_gaps", "gaps_by_minute", "volume_profile", "spread_by_symbol", "export_latency",
    }  # fmt: skip
    assert set(examples()) == wanted
    assert all(one.description.endswith(".") for one in examples().values())
    with pytest.raises(UnknownNameError, match="did you mean '@worst_quality'"):
        example("worst_qualty")


def test_every_column_is_documented_with_its_unit():
    for table in SQL_TABLES.values():
        assert table.description
        for column in table.columns:
            assert column.type in ARROW_TYPES
            assert column.description
            if column.type == "DOUBLE" and table.name != "indicators":
                assert column.unit, f"{table.name}.{column.name} has no unit"


def test_what_exports_took_is_documented_as_null_in_files(run):
    timings = [column for column in SQL_TABLES["exports"].columns if column.name.endswith("_us")]
    assert all("files do not tell: NULL" in column.description for column in timings)
    told = ", ".join(f"count({column.name}) AS {column.name}" for column in timings)
    with open_exports([run.exports / "json"]) as files:
        assert set(files.query(f"SELECT {told} FROM exports").to_pylist()[0].values()) == {0}
        sizes = files.query(example("export_latency").text).to_pylist()[0]
    assert sizes["bytes"] == sum(file.stat().st_size for file in (run.exports / "json").iterdir())
    assert sizes["rows"] > 0


def test_show_tables_lists_the_documented_ones(session):
    assert session.query("SHOW TABLES").column("name").to_pylist() == list(SQL_TABLES)


def test_view_files_begin_with_what_they_are():
    folder = Path(template.__wrapped__.__code__.co_filename).parent / "views"
    files = sorted(folder.glob("*.sql"))
    assert len(files) >= 10
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert text.startswith("-- "), file.name
        assert re.search(r"^(SELECT|WITH)\b", text, re.MULTILINE), file.name
