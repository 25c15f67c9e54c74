"""Flipped bits and foreign tables: all four readers refuse them with the same line, or read what was written."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard

from mismartera.cli.main import main
from mismartera.engine.export.formats.registry import FOLDERS, FORMATS
from mismartera.engine.export.reading.loading import load, load_export
from mismartera.engine.export.reading.replay import replay
from mismartera.engine.export.tables.schemas import EXPORT_TABLES
from mismartera.schemas.errors import MismarteraError, NotAnExportError
from mismartera.sql.exports.open_exports import open_exports
from tests.golden.small import make_system, minutes

FLIPS = 200
COUNTS = "SELECT count(*) AS n, sum(volume) AS volume FROM bars"


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One state in every format, and another one in each folder format."""
    folder = tmp_path_factory.mktemp("exports")
    rows = minutes("A", "2024-07-02T09:30-04:00", 30) + minutes("A", "2024-07-03T09:30-04:00", 40, without=[3, 7])
    system = make_system(folder, rows + minutes("B", "2024-07-03T09:31-04:00", 9), "2024-07-03", history=[("1m", 1)])
    system.run(until="2024-07-03T10:10")
    for form in FORMATS:
        system.register_consumer(form)
        system.export_status(folder / f"state.{form}", consumer=form)
    other = make_system(folder / "other", minutes("A", "2024-07-03T09:30-04:00", 40, without=[5, 6]), "2024-07-03")
    other.run(until="2024-07-03T10:10")
    for form in FOLDERS:
        other.export_status(folder / f"other.{form}")
    return folder


def shown(path: Path) -> Any:
    export = load(path)
    export.require_sound()
    return export.document()


def checked(path: Path) -> Any:
    export = load(path)
    for problem in export.problems():
        raise NotAnExportError(path, problem)
    return export.document()


def asked(path: Path) -> Any:
    with open_exports([path]) as session:
        return session.query(COUNTS).to_pylist()


READERS: dict[str, Callable[[Path], Any]] = {
    "show": shown,
    "check": checked,
    "replay": lambda path: replay([path]).to_json(),
    "sql": asked,
}


def outcomes(path: Path) -> dict[str, Any]:
    """What each reader makes of a file: the line it refuses it with, or what it read."""
    found = {}
    for name, read in READERS.items():
        try:
            found[name] = read(path)
        except MismarteraError as error:
            found[name] = f"refused: {error}"
    return found


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("form", FORMATS)
def test_a_flipped_bit_is_refused_by_all_readers_or_changes_nothing(exports: Path, tmp_path: Path, form: str) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # shown where the test fails
    moments = random.Random(seed)
    source, path = exports / f"state.{form}", tmp_path / f"state.{form}"
    (shutil.copytree if source.is_dir() else shutil.copy)(source, path)
    wanted = outcomes(path)
    assert not any(isinstance(read, str) for read in wanted.values())
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    refused = 0
    for _ in range(FLIPS):
        (file,) = moments.choices(files, [file.stat().st_size for file in files])
        content = file.read_bytes()
        bit = moments.randrange(8 * len(content))
        file.write_bytes(flipped(content, bit))
        found = outcomes(path)
        file.write_bytes(content)
        if found != wanted:
            assert len({str(line) for line in found.values()}) == 1, (seed, file.name, bit, found)
            assert str(found["sql"]).startswith(f"refused: {path} is no export: "), (seed, file.name, bit)
            assert "\n" not in str(found["sql"]), (seed, file.name, bit)
            refused += 1
    assert refused > 0.9 * FLIPS, seed


@pytest.mark.parametrize("form", FOLDERS)
def test_bits_flipped_without_checksums_never_reach_a_library(exports: Path, tmp_path: Path, form: str) -> None:
    """As of exports before version 2.1: a reader may be misled, but neither crashes nor prints a trace of a library."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    path = shutil.copytree(exports / f"state.{form}", tmp_path / f"state.{form}")
    without_checksums(path)
    files = [path / f"{name}{FORMATS[form].suffix}" for name in ("session_bars", "quality", "gaps")]  # type: ignore[attr-defined]
    for _ in range(60):
        file = moments.choice(files)
        content = file.read_bytes()
        bit = moments.randrange(8 * len(content))
        file.write_bytes(flipped(content, bit))
        found = outcomes(path)
        file.write_bytes(content)
        assert not any(isinstance(read, str) and "\n" in read for read in found.values()), (seed, file.name, bit)


@pytest.mark.parametrize("form", FOLDERS)
def test_a_table_of_another_export_is_refused(exports: Path, tmp_path: Path, form: str) -> None:
    path = shutil.copytree(exports / f"state.{form}", tmp_path / f"state.{form}")
    foreign = 0
    for name in EXPORT_TABLES:
        table = f"{name}{FORMATS[form].suffix}"  # type: ignore[attr-defined]
        own, other = ((exports / f"{stem}.{form}" / table).read_bytes() for stem in ("state", "other"))
        if own == other:  # without rows in either
            continue
        foreign += 1
        (path / table).write_bytes(other)
        found = outcomes(path)
        (path / table).write_bytes(own)
        assert len(set(found.values())) == 1
        assert found["sql"].startswith(f"refused: {path} is no export: {table} is damaged: expected")
    assert foreign >= 6


@pytest.mark.parametrize("form", FOLDERS)
@pytest.mark.parametrize("name", ["session_bars", "quality", "session_metrics"])
def test_a_table_of_another_export_is_refused_without_checksums(
    exports: Path, tmp_path: Path, form: str, name: str
) -> None:
    path = shutil.copytree(exports / f"state.{form}", tmp_path / f"state.{form}")
    without_checksums(path)
    table = f"{name}{FORMATS[form].suffix}"  # type: ignore[attr-defined]
    shutil.copy(exports / f"other.{form}" / table, path / table)
    assert all(str(line).startswith(f"refused: {path} is no export: ") for line in outcomes(path).values())


def without_checksums(path: Path) -> None:
    """Have a folder be as those of version 2.0."""
    metadata = json.loads((path / "metadata.json").read_bytes())
    del metadata["_checksum"]
    metadata["_metadata"]["version"] = "2.0"
    metadata["tables"] = {name: entry["rows"] for name, entry in metadata["tables"].items()}
    (path / "metadata.json").write_text(json.dumps(metadata))


@pytest.mark.parametrize("form", FORMATS)
def test_commands_print_the_line_and_no_trace(
    exports: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = exports / f"state.{form}"
    copy = tmp_path / path.name
    (shutil.copytree if path.is_dir() else shutil.copy)(path, copy)
    file = copy / f"session_bars{FORMATS[form].suffix}" if copy.is_dir() else copy  # type: ignore[attr-defined]
    file.write_bytes(flipped(file.read_bytes(), 4 * file.stat().st_size))
    problem = str(outcomes(copy)["show"]).removeprefix("refused: ")
    for words in (["export", "show", copy], ["export", "replay", copy, "-o", tmp_path / "merged.json"]):
        assert printed(capsys, *words) == (1, f"error: {problem}")
    code, line = printed(capsys, "sql", "--exports", copy, "SELECT 1")
    assert (code, line) == (1, f"error: {problem}")
    assert printed(capsys, "export", "check", copy) == (1, problem)


def printed(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Return the exit code of a command, and the first line it printed."""
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, (out + err).splitlines()[0]


@pytest.mark.parametrize("form", FORMATS)
def test_exports_without_checksums_are_read(exports: Path, tmp_path: Path, form: str) -> None:
    path = tmp_path / f"state.{form}"
    document = load_export(exports / path.name)
    if path.suffix.removeprefix(".") in FOLDERS:
        shutil.copytree(exports / path.name, path)
        without_checksums(path)
        document["_metadata"]["version"] = "2.0"
    else:
        path.write_text(json.dumps(document))
    assert load_export(path) == document
    assert not load(path).has_checksum
    assert load(exports / path.name).has_checksum
    assert not any(isinstance(read, str) for read in outcomes(path).values())


@pytest.mark.parametrize("name", ["state.json", "state.json.zst", "state.json.gz"])
def test_compression_is_detected_by_content_in_all_readers(exports: Path, tmp_path: Path, name: str) -> None:
    for form in ("json", "json.gz", "json.zst"):
        shutil.copy(exports / f"state.{form}", tmp_path / name)
        assert outcomes(tmp_path / name) == outcomes(exports / f"state.{form}")


@pytest.mark.parametrize("form", ["json", "json.gz", "json.zst"])
def test_a_file_ends_with_the_checksum_of_what_is_before_it(exports: Path, form: str) -> None:
    packed = (exports / f"state.{form}").read_bytes()
    unpacked = zstandard.ZstdDecompressor().decompressobj().decompress
    text = {"json": bytes, "json.gz": gzip.decompress, "json.zst": unpacked}[form](packed)
    body, told = text.rsplit(b",", 1)
    assert told == b'\n"_checksum":"crc32:%08x"}\n' % zlib.crc32(body)
    if form == "json.zst":
        assert zstandard.get_frame_parameters(packed).has_checksum


def test_memory_has_no_checksum(exports: Path) -> None:
    assert "_checksum" not in load_export(exports / "state.json")
    assert "_checksum" not in replay([exports / "state.json"]).to_json()
    system = make_system(exports / "memory", minutes("A", "2024-07-03T09:30-04:00", 2), "2024-07-03")
    assert b"_checksum" not in system.export().to_bytes()


@pytest.mark.parametrize("form", FOLDERS)
def test_a_folder_names_rows_bytes_and_crc_of_each_table(exports: Path, form: str) -> None:
    path = exports / f"state.{form}"
    told = json.loads((path / "metadata.json").read_bytes())["tables"]
    for name in EXPORT_TABLES:
        content = (path / f"{name}{FORMATS[form].suffix}").read_bytes()  # type: ignore[attr-defined]
        assert told[name] == {
            "rows": load(path).tables()[name].num_rows, "bytes": len(content), "crc32": f"{zlib.crc32(content):08x}"
        }  # fmt: skip


def test_pages_of_parquet_have_checksums(exports: Path, tmp_path: Path) -> None:
    """Found by its own pages, where the folder has no digest of the file."""
    path = shutil.copytree(exports / "state.parquet", tmp_path / "state.parquet")
    without_checksums(path)
    file = path / "session_bars.parquet"
    column = pq.read_metadata(file).row_group(0).column(7)
    end = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size
    file.write_bytes(flipped(file.read_bytes(), 8 * (end - 2)))  # within the column's last page
    with pytest.raises(NotAnExportError, match=r"session_bars\.parquet cannot be read: .*(CRC|checksum)"):
        load(path)


def test_a_pipe_or_an_impossible_name_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(NotAnExportError, match="expected a file or a folder, got a device or a pipe"):
        load(tmp_path / "pipe.json")
    with pytest.raises(NotAnExportError, match="cannot be read"):
        load(Path("a\0b.json"))
