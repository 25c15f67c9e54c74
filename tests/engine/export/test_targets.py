"""Where an export goes by the path it is given, what it replaces there, and who may read it."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mismartera.engine.export.formats.registry import FOLDERS, FORMATS
from mismartera.engine.export.reading.loading import load_export, read_metadata
from mismartera.engine.export.writing.targets import require_replaceable, write_export
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.errors import ExportError, UnknownNameError
from tests.golden.small import make_system, minutes

USUAL = "system_status_Small_run_complete_"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SystemManager]:
    made = make_system(tmp_path / "catalog", minutes("A", "2024-07-03T09:30-04:00", 30, without=[3]), "2024-07-03")
    made.run()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    yield made
    made.stop()


def names(folder: Path | str = ".") -> list[str]:
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("form", FORMATS)
def test_a_form_gives_a_path_without_suffix_its_own(system: SystemManager, form: str) -> None:
    assert system.export_status("state", form=form).path == Path(f"state.{form}")
    assert system.export_status(f"named.{form}", form=form).path == Path(f"named.{form}")
    assert load_export(f"state.{form}")["_metadata"]["sequence"] == 1


def test_options_that_contradict_the_path_are_told(system: SystemManager) -> None:
    with pytest.raises(
        ExportError, match=r"a\.json: expected an export to parquet, and the suffix of a\.json means json"
    ):
        system.export_status("a.json", form="parquet")
    for path in ("a.json", "a", None):
        with pytest.raises(UnknownNameError, match="export format 'bogus' does not exist"):
            system.export_status(path, form="bogus")
    with pytest.raises(ExportError, match=r"a path or a folder, and both were given: a\.json and b"):
        system.export_status("a.json", folder="b")
    with pytest.raises(ExportError, match="names no file"):
        system.export_status("")
    assert names() == []
    assert system.export().sequence == 1


def test_auto_compress_is_for_names_without_suffix(system: SystemManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mismartera.engine.export.formats.json_file._COMPRESS_ABOVE", 100)
    assert system.export_status("a", auto_compress=True).path == Path("a.json.gz")
    assert system.export_status("a.json", auto_compress=True).path == Path("a.json")
    Path("b.json.gz").write_text("precious")
    with pytest.raises(ExportError, match=r"b\.json\.gz: what is there is not an export"):
        system.export_status("b", auto_compress=True)
    assert Path("b.json.gz").read_text() == "precious"


@pytest.mark.parametrize("target", ["new/", "there", "there/", "link", "."])
def test_into_a_folder_goes_a_new_file_of_the_usual_name(system: SystemManager, target: str) -> None:
    Path("there").mkdir()
    Path("link").symlink_to("there")
    written = [system.export_status(target, form=form).path for form in (None, "parquet", None)]
    assert {path.parent for path in written} == {Path(target)}
    assert len({path.name for path in written}) == 3
    assert all(path.name.startswith(USUAL) for path in written)
    assert [path.suffix for path in written] == [".json", ".parquet", ".json"]


def test_an_export_folder_with_a_slash_behind_it_is_replaced(system: SystemManager) -> None:
    for number in (1, 2):
        assert system.export_status("a.parquet/").path == Path("a.parquet")
        assert read_metadata("a.parquet")["sequence"] == number


@pytest.mark.parametrize("form", FORMATS)
def test_links_are_followed(system: SystemManager, form: str) -> None:
    system.export_status(f"first.{form}")
    Path("deep").mkdir()
    for link, target in (
        (f"latest.{form}", f"first.{form}"),
        ("plain", f"first.{form}"),
        (f"new.{form}", f"deep/b.{form}"),
    ):
        Path(link).symlink_to(target)
        written = system.export_status(link).path
        assert Path(link).is_symlink()
        assert written == Path(target).resolve()
        assert read_metadata(target)["sequence"] == system.export().sequence - 1


def test_links_that_lead_elsewhere_are_told(system: SystemManager) -> None:
    system.export_status("a.json")
    Path("b.json.gz").symlink_to("a.json")
    Path("round.json").symlink_to("round.json")
    with pytest.raises(ExportError, match=r"expected an export to json\.gz, and the suffix of a\.json means json"):
        system.export_status("b.json.gz")
    with pytest.raises(ExportError, match="leads back to itself"):
        system.export_status("round.json")
    assert Path("round.json").is_symlink()
    assert system.export().sequence == 2


@pytest.mark.parametrize("form", FOLDERS)
def test_a_folder_with_a_file_of_somebody_else_is_not_replaced(system: SystemManager, form: str) -> None:
    path = system.export_status(f"a.{form}").path
    mine = path / f"my_notes{FORMATS[form].suffix}"
    mine.write_text("x")
    with pytest.raises(ExportError, match=rf"what is there is not an export \(it holds {mine.name}\)"):
        system.export_status(path)
    assert mine.read_text() == "x"
    mine.unlink()
    system.export_status(path)
    assert names() == [path.name]


@pytest.mark.parametrize("form", FORMATS)
def test_threads_that_replace_one_path_do_not_disturb_each_other(system: SystemManager, form: str) -> None:
    export, failed = system.export(complete=True), []

    def write() -> None:
        for _ in range(12):
            try:
                write_export(Path(f"same.{form}"), export)
            except ExportError as error:
                failed.append(str(error))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert names() == [f"same.{form}"]
    assert load_export(f"same.{form}") == export.to_json()


def test_a_folder_that_another_process_writes_is_told_as_that(
    system: SystemManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = system.export_status("a.parquet").path
    rename = os.rename

    def other_is_first(source: Path, target: Path) -> None:
        rename(source, target)
        if source == path:
            path.mkdir()
            (path / "metadata.json").write_text('{"_metadata": {"sequence": 9}}')

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", other_is_first)
        with pytest.raises(ExportError, match="another process wrote there at the same time"):
            system.export_status(path)
    assert names() == ["a.parquet"]
    assert (path / "metadata.json").read_text() == '{"_metadata": {"sequence": 9}}'


def test_what_is_replaced_while_it_is_looked_at_is_told_as_that(
    system: SystemManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = system.export_status("a.parquet").path

    def moved_meanwhile(_: Path) -> bool:
        path.rename("b.parquet")
        return False

    monkeypatch.setattr("mismartera.engine.export.writing.targets.is_export", moved_meanwhile)
    with pytest.raises(ExportError, match="another process wrote there at the same time"):
        require_replaceable(path)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("mask", [0o077, 0o027, 0o002])
def test_exports_have_the_rights_the_umask_leaves(system: SystemManager, form: str, mask: int) -> None:
    before = os.umask(mask)
    try:
        path = system.export_status(f"a.{form}").path
    finally:
        os.umask(before)
    rights = {file: stat.S_IMODE(file.stat().st_mode) for file in (path, *(path.iterdir() if path.is_dir() else ()))}
    assert rights == {file: (0o777 if file.is_dir() else 0o666) & ~mask for file in rights}
