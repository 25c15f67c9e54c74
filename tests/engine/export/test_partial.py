"""What a killed process left partial is removed by the next export into the folder, and nothing else is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mismartera.engine.files.atomic import replacing
from mismartera.engine.files.partial import prefix_of, sweep


def test_leftovers_of_the_dead_go_and_others_stay(tmp_path: Path) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    mine = prefix_of(tmp_path / "state.json")
    host = mine.rsplit("-", 1)[0]
    left = tmp_path / f"{host}-{dead.stdout.strip()}.abc.part"
    left.write_text("half")
    folder = tmp_path / f"{host}-{dead.stdout.strip()}.def.part"
    folder.mkdir()
    (folder / "gaps.parquet").write_text("half")
    others = [tmp_path / f"{mine}xyz.part", tmp_path / ".state.json.elsewhere-1.abc.part", tmp_path / "my.part"]
    for path in others:
        path.write_text("whole")
    sweep.cache_clear()
    with replacing(tmp_path / "state.json") as file:
        file.write(b"{}")
    assert (tmp_path / "state.json").read_bytes() == b"{}"
    assert not left.exists()
    assert not folder.exists()
    assert all(path.exists() for path in others)


def test_a_folder_moved_aside_by_the_dead_gets_its_name_back(tmp_path: Path) -> None:
    """Killed between the two renames, the older export lies under a hidden name alone; else the newer one is there."""
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    for name in ("alone.parquet", "done.parquet"):
        host = prefix_of(tmp_path / name).rsplit("-", 1)[0]
        aside = tmp_path / f"{host}-{dead.stdout.strip()}.abc.old"
        aside.mkdir()
        (aside / "metadata.json").write_text("older")
    (tmp_path / "done.parquet").mkdir()
    (tmp_path / "done.parquet" / "metadata.json").write_text("newer")
    sweep.cache_clear()
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone.parquet", "done.parquet"]
    assert (tmp_path / "alone.parquet" / "metadata.json").read_text() == "older"
    assert (tmp_path / "done.parquet" / "metadata.json").read_text() == "newer"
