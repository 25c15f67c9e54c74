"""Processes killed while they export: what bears a final name is whole, and each chain on disk replays."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.generate import generate
from mismartera.engine.export.reading.loading import load_export
from tests.contract import Judge, load_contract

ROOT = Path(__file__).resolve().parents[3]
KILLS = 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_killed_export_leaves_whole_files_and_chains_that_replay(tmp_path: Path) -> None:
    contract = load_contract()
    day = dt.date(2025, 7, 2)
    generate(Catalog(tmp_path / "catalog"), ["A", "B/C"], day, day, seed=1, missing=0.1)
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-m", "tests.engine.export.killed_exports"]
    subprocess.run([*command, str(tmp_path / "catalog"), str(out), str(KILLS)], cwd=ROOT, check=True)
    folders = sorted(out.iterdir())
    assert len(folders) == KILLS
    lengths = [chain_of(folder, contract) for folder in folders]
    assert min(lengths) >= 1
    assert len(set(lengths)) > 5  # the moments differ


def chain_of(folder: Path, contract: Judge) -> int:
    """Assert that a folder holds whole exports that make a chain, and return how many."""
    chain: dict[int, dict[str, Any]] = {}
    for path in folder.iterdir():
        if path.name.startswith("."):
            assert path.name.endswith((".part", ".old"))
            continue
        export = load_export(path)
        assert contract.problems(export) == [], path
        meta = export["_metadata"]
        if path.name.startswith("latest."):
            assert meta["consumer"] == "latest"
            continue
        assert meta["sequence"] not in chain, path
        assert f"_{meta['mode']}_" in path.name
        chain[meta["sequence"]] = export
    assert sorted(chain) == list(range(1, len(chain) + 1)), folder
    state = None
    for number in sorted(chain):
        export = chain[number]
        if export["_metadata"]["complete"]:  # taken at the instant of the delta before it
            assert contract.differences(state, export) == []
        state = contract.apply(state, export)
    return len(chain)
