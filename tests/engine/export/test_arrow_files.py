"""Arrow and Parquet folders: what they hold, that they are whole or absent, and that nothing else is replaced."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import orjson
import polars as pl
import pyarrow as pa
import pytest

from mismartera.engine.export.formats.arrow import ARROW
from mismartera.engine.export.formats.parquet import PARQUET
from mismartera.engine.export.formats.registry import FORMATS, checked_format, format_of
from mismartera.engine.export.reading.loading import load_export, read_metadata
from mismartera.engine.export.tables.schemas import EXPORT_TABLES
from mismartera.engine.export.writing.targets import write_export
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.errors import ExportError, NotAnExportError, UnknownNameError
from tests.contract import load_contract
from tests.golden.small import make_system, minutes

TABLES = {"arrow": ARROW, "parquet": PARQUET}
FOLDERS = tuple(TABLES)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[SystemManager]:
    rows = minutes("A", "2024-07-02T09:30-04:00", 390) + minutes("A", "2024-07-03T09:30-04:00", 60, without=[3, 4, 40])
    made = make_system(tmp_path, rows, "2024-07-03", history=[("1m", 1), ("1d", 1)])
    made.run()
    yield made
    made.stop()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("complete", [True, False])
def test_every_form_loads_as_the_same_document(
    system: SystemManager, tmp_path: Path, form: str, complete: bool
) -> None:
    export = system.export(complete=complete)
    written = write_export(tmp_path / f"state.{form}", export)
    assert (written.path, written.format) == (tmp_path / f"state.{form}", form)
    assert written.drained.bytes > 0
    loaded = load_export(written.path)
    assert loaded == export.to_json()
    assert read_metadata(written.path) == loaded["_metadata"]
    assert load_contract().problems(loaded) == []


@pytest.mark.parametrize("form", FOLDERS)
def test_a_folder_holds_tables_other_tools_read(system: SystemManager, tmp_path: Path, form: str) -> None:
    path = system.export_status(tmp_path / f"a.{form}").path
    suffix = TABLES[form].suffix
    assert {file.name for file in path.iterdir()} == {"metadata.json", *(f"{name}{suffix}" for name in EXPORT_TABLES)}
    bars = pl.read_parquet(path / "session_bars.parquet") if form == "parquet" else pl.read_ipc_stream(
        path / "session_bars.arrows"
    )  # fmt: skip
    assert bars.filter(pl.col("interval").cast(pl.String) == "1m").height == 57
    metadata = orjson.loads((path / "metadata.json").read_bytes())
    assert metadata["tables"]["session_bars"]["rows"] == bars.height
    assert metadata["_metadata"]["mode"] == "complete"
    assert system.export_log.entries()[-1]["format"] == form
    assert system.export_log.entries()[-1]["rows"] == metadata["tables"]["session_bars"]["rows"] + 391


@pytest.mark.parametrize("form", FOLDERS)
def test_a_folder_is_replaced_by_name_and_never_without(
    system: SystemManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(system.time_manager, "wall_us", lambda: 1_720_013_400_000_000)
    for _ in range(2):
        system.export_status(f"same.{form}")
    assert read_metadata(tmp_path / f"same.{form}")["sequence"] == 2
    names = [system.export_status(form=form, folder="out").path.name for _ in range(3)]
    stem = "system_status_Small_run_complete_20240703_093000"
    assert names == [f"{stem}.{form}", f"{stem}_2.{form}", f"{stem}_3.{form}"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
    assert [read_metadata(tmp_path / "out" / name)["sequence"] for name in names] == [3, 4, 5]


@pytest.mark.parametrize("form", FOLDERS)
def test_what_is_no_export_is_not_replaced(system: SystemManager, tmp_path: Path, form: str) -> None:
    precious = tmp_path / f"thesis.{form}"
    precious.mkdir()
    (precious / "chapter").write_text("1")
    with pytest.raises(ExportError, match="not an export"):
        system.export_status(precious)
    assert (precious / "chapter").read_text() == "1"
    (tmp_path / f"file.{form}").write_text("older")
    with pytest.raises(ExportError):
        system.export_status(tmp_path / f"file.{form}")
    assert (tmp_path / f"file.{form}").read_text() == "older"
    assert system.export().sequence == 1


@pytest.mark.parametrize("form", FOLDERS)
@pytest.mark.parametrize("broken", ["fsync", "rename", "write", "mkdir"])
@pytest.mark.parametrize("held", [False, True])
def test_a_full_disk_leaves_nothing_and_the_cursor_where_it_was(
    system: SystemManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, broken: str, held: bool
) -> None:
    target = tmp_path / "out" / f"a.{form}"
    target.parent.mkdir()
    if held:
        system.export_status(target)
    before = sorted(path.name for path in target.parent.iterdir())
    calls = iter(range(100))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def soon_full(*_: object) -> None:
        if next(calls) == 3:
            full()

    with monkeypatch.context() as patch:
        if broken == "write":
            patch.setattr(TABLES[form], "write_table", full)
        elif broken == "mkdir":
            patch.setattr(Path, "mkdir", full)
        else:
            patch.setattr(os, broken, soon_full if broken == "fsync" else full)
        with pytest.raises(ExportError, match="No space left"):
            system.export_status(target, complete=False)
    assert sorted(path.name for path in target.parent.iterdir()) == before
    assert system.export().sequence == (2 if held else 1)
    if held:
        assert read_metadata(target)["sequence"] == 1


def test_an_error_within_arrow_s_own_writing_is_told_as_what_it_is(system: SystemManager, tmp_path: Path) -> None:
    class Full:
        closed = False

        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def flush(self) -> None:
            return None

    for form in FOLDERS:
        with pytest.raises(OSError, match="No space left"):
            TABLES[form].write_table(pa.table({"a": [1]}), Full())  # type: ignore[arg-type]


def test_an_unwritable_folder_is_told(system: SystemManager, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for form in FORMATS:
        with pytest.raises(ExportError, match="could not be written"):
            system.export_status(tmp_path / "file" / f"a.{form}")
    assert system.export().sequence == 1


@pytest.mark.parametrize("name", ["a.txt", "a.json.bz2", "a.arrows", "a.csv.gz", ".hidden.xml"])
def test_an_unknown_suffix_is_told_with_those_there_are(system: SystemManager, tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"json, json\.gz, json\.zst, arrow, parquet"):
        system.export_status(tmp_path / name)
    assert list(tmp_path.glob("a*")) == []
    assert system.export().sequence == 1


def test_no_suffix_means_json(system: SystemManager, tmp_path: Path) -> None:
    assert system.export_status(tmp_path / "state").path == tmp_path / "state.json"


def test_unknown_forms_and_consumers_are_told(system: SystemManager, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="export format 'parket' does not exist; did you mean 'parquet'"):
        system.export_status(form="parket", folder=tmp_path)
    with pytest.raises(UnknownNameError, match="consumer 'nobody'"):
        system.export_status(tmp_path / "a.arrow", consumer="nobody")
    assert checked_format("arrow") == format_of(Path("x/y.arrow")) == "arrow"


def test_damaged_folders_are_told(system: SystemManager, tmp_path: Path) -> None:
    def damaged(name: str) -> Path:
        return system.export_status(tmp_path / name).path

    (damaged("a.parquet") / "gaps.parquet").unlink()
    arrow = damaged("b.arrow") / "session_bars.arrows"
    arrow.write_bytes(arrow.read_bytes()[:700])
    (damaged("c.parquet") / "metadata.json").write_text("{")
    (damaged("d.arrow") / "metadata.json").unlink()
    (damaged("e.arrow") / "session_bars.arrows").unlink()
    (damaged("f.parquet") / "metadata.json").write_text("[1]")
    (damaged("g.parquet") / "metadata.json").write_text("{}")
    (damaged("h.parquet") / "gaps.parquet").write_bytes((tmp_path / "h.parquet" / "quality.parquet").read_bytes())
    found = {}
    for path in sorted(tmp_path.glob("?.*")):
        with pytest.raises(NotAnExportError) as told:
            load_export(path)
        found[path.name[0]] = str(told.value).removeprefix(f"{path} is no export: ")
    expected = {
        "a": "gaps.parquet cannot be read", "b": "session_bars.arrows is damaged: expected",
        "c": "metadata.json is not JSON",
        "d": "a folder without a readable metadata.json", "e": "it holds no session_bars.arrows or",
        "f": "metadata.json holds no object", "g": "_metadata is missing", "h": "gaps.parquet is damaged: expected",
    }  # fmt: skip
    assert {name: text.startswith(expected[name]) for name, text in found.items()} == dict.fromkeys(expected, True)
