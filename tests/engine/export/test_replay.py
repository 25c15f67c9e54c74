"""Replaying chains: the merged export is the system's own of that instant, and what breaks a chain is named."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mismartera.engine.export.consumers.consumers import Consumers
from mismartera.engine.export.formats.json_file import JSON, JSON_GZ
from mismartera.engine.export.formats.registry import FORMATS
from mismartera.engine.export.reading.loading import load_export, read_metadata
from mismartera.engine.export.reading.replay import Replay, replay
from mismartera.engine.session.session_data import SessionData
from mismartera.engine.system.export_schedule import ExportSchedule
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.errors import ChainError, NotAnExportError
from tests.contract import load_contract
from tests.golden.exporting import every, export_of, make_catalog, make_run
from tests.golden.small import make_system, minutes, table, us


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_catalog(tmp_path_factory.mktemp("catalog"))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A complete export, deltas every 15 minutes of an hour's run, one at its end, and a complete one."""
    folder = tmp_path_factory.mktemp("chain")
    rows = minutes("A", "2024-07-03T09:30-04:00", 70, without=[7]) + minutes("B", "2024-07-03T09:30-04:00", 20)
    system = make_system(folder, rows, "2024-07-03")
    schedule = ExportSchedule(system, "15m", folder / "out")
    system.run(until="2024-07-03T10:30")
    schedule.finish()
    return schedule.paths


def at_each_instant(system: SystemManager, consumer: str, minute: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Deltas of a run, each with the complete export of its instant."""
    found = []

    def take() -> None:
        complete = system.export(consumer, complete=True).to_json()
        found.append((system.system_info(complete=False, consumer=consumer), complete))

    every(system, minute, take)
    system.run()
    return found


@pytest.mark.parametrize("only", [{}, {"symbols": ["ZZ", "a/b~c"], "intervals": ["1m", "ticks", "1d"]}])
def test_every_state_of_a_chain_is_the_complete_export_of_its_instant(catalog: Path, only: dict[str, Any]) -> None:
    contract = load_contract()
    system = make_run(catalog)
    system.register_consumer("c", **only)
    state, judged = Replay(), None
    steps = at_each_instant(system, "c", 20)
    assert any(delta["_metadata"]["reset"] for delta, _ in steps)
    for delta, complete in steps:
        state.apply(delta)
        judged = contract.apply(judged, delta)
        merged = state.to_json()
        assert contract.problems(merged) == []
        assert contract.differences(judged, merged) == []
        assert merged["session_data"] == complete["session_data"]
        if delta["_metadata"]["sequence"] > 1:
            same = {"last_update", "base_sequence", "changed_paths", "sequence"}
            assert {k: v for k, v in merged["_metadata"].items() if k not in same} == {
                k: v for k, v in complete["_metadata"].items() if k not in same
            }
    assert merged["_metadata"]["sequence"] == len(steps)


def test_late_rows_and_corrections_are_merged_by_timestamp() -> None:
    contract = load_contract()
    data, consumers, state = SessionData(["A"], timezone="America/New_York"), Consumers(), Replay()
    start = us("2025-07-02T09:30-04:00")
    for batch in ([3, 4], [2, 5, 4], [0, 1], [6, 7], [7]):
        bars = [("A", start + at * 60_000_000, 1.0, 9.0, 1.0, 2.0 + len(batch), at) for at in batch]
        data.append_bars("1m", table(bars))
        delta = export_of(data, consumers, complete=False)
        state.apply(delta.to_json())
        consumers.acknowledge(delta)
        complete = export_of(data, consumers, complete=True).to_json()
        assert state.to_json()["session_data"] == complete["session_data"]
        assert contract.problems(state.to_json()) == []
    rows = state.to_json()["session_data"]["symbols"]["A"]["session"]["data"]["1m"]["data"]
    assert [row[0] for row in rows] == [f"09:3{at}:00" for at in range(8)]


@pytest.mark.parametrize("form", FORMATS)
def test_a_chain_of_any_form_replays_whatever_the_order(
    catalog: Path, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = make_run(catalog, symbols=["AAPL", "ZZ"])
    monkeypatch.setattr(system.time_manager, "wall_us", lambda: 1_720_013_400_000_000)
    schedule = ExportSchedule(system, "30m", tmp_path / "out", form=form, consumer="desk")
    system.run()
    schedule.finish()
    *chain, final = schedule.paths
    assert len(chain) == 1 + 13 + 7 + 1
    assert [read_metadata(path)["sequence"] for path in schedule.paths] == list(range(1, 24))
    assert {read_metadata(path)["consumer"] for path in chain} == {"desk"}
    assert sorted(chain, key=lambda path: path.name) != chain  # suffixes do not sort: sequences do
    state = replay(reversed(chain))
    target = tmp_path / "merged.json.gz"
    JSON_GZ.write_pieces(target, state.pieces())
    merged, complete = load_export(target), load_export(final)
    assert merged["session_data"] == complete["session_data"]
    assert merged["session_config"] == complete["session_config"]
    assert (merged["_metadata"]["sequence"], merged["_metadata"]["mode"]) == (22, "complete")


def test_a_merged_export_begins_a_chain(chain: list[Path], tmp_path: Path) -> None:
    JSON.write_pieces(tmp_path / "merged.json", replay(chain[:3]).pieces())
    rest = replay([tmp_path / "merged.json", *chain[3:-1]])
    assert rest.to_json()["session_data"] == load_export(chain[-1])["session_data"]


def test_a_complete_export_in_a_chain_starts_it_over(chain: list[Path]) -> None:
    assert replay(chain).to_json() == replay(chain[-1:]).to_json()
    assert replay([chain[-1]]).to_json()["session_data"] == load_export(chain[-1])["session_data"]


def edited(path: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    document = load_export(path)
    change(document)
    target = folder / f"edited_{path.name}"
    target.write_text(json.dumps(document))
    return target


def test_a_missing_delta_is_named(chain: list[Path]) -> None:
    with pytest.raises(
        ChainError, match=r"expected sequence 3, found 4, which applies to 3: sequence 3 is missing"
    ) as e:
        replay([*chain[:2], *chain[3:5]])
    assert (e.value.path, e.value.expected, e.value.found) == (chain[3], 3, 4)
    with pytest.raises(ChainError, match=r"expected sequence 2, found 4, .*: sequence 2 to 3 are missing"):
        replay([chain[0], chain[3]])
    with pytest.raises(ChainError, match=r"begins with delta 2: expected a complete export or delta 1"):
        replay(chain[1:3])
    with pytest.raises(ChainError, match=r"sequence 2 is there twice; the other one is"):
        replay([*chain[:2], chain[1]])
    with pytest.raises(ChainError, match="no export was given"):
        replay([])


def test_a_foreign_delta_is_named(chain: list[Path], tmp_path: Path) -> None:
    def other_consumer(document: dict[str, Any]) -> None:
        document["_metadata"]["consumer"] = "other"

    def other_run(document: dict[str, Any]) -> None:
        document["_metadata"]["last_update"] = "2024-07-03T09:31:00-04:00"

    def other_rows(document: dict[str, Any]) -> None:
        section = document["session_data"]["symbols"]["A"]["session"]["data"]["1m"]
        section["total_count"] += 1

    def another_run_id(document: dict[str, Any]) -> None:
        document["performance_metrics"]["run_id"] = "0" * 12

    foreign = edited(chain[1], tmp_path, other_consumer)
    with pytest.raises(ChainError, match=r"an export of consumer 'other', foreign to this chain of 'default'"):
        replay([chain[0], foreign, *chain[2:]])
    with pytest.raises(ChainError, match=r"delta 2 follows .*09:31.*, and number 1 .*09:30.*foreign, of another run"):
        replay([chain[0], edited(chain[1], tmp_path, other_run)])
    with pytest.raises(ChainError, match=r"it is foreign, of run 0{12}: what comes before it is of run [0-9a-f]{12}"):
        replay([chain[0], edited(chain[1], tmp_path, another_run_id)])
    with pytest.raises(ChainError, match=r"A 1m has 14 rows after this export, which says 15"):
        replay([chain[0], edited(chain[1], tmp_path, other_rows)])


def test_what_is_no_export_is_named(chain: list[Path], tmp_path: Path) -> None:
    whole = chain[0].read_bytes()
    packed = gzip.compress(whole)
    files = {
        "cut.json": (whole[: len(whole) // 2], "not JSON, or cut off"),
        "cut.json.gz": (packed[: len(packed) // 2], "cannot be read"),
        "bad.json.gz": (packed[:30] + b"x" * 50, "cannot be read"),
        "bad.json.zst": (b"\x28\xb5\x2f\xfd" + b"\xff" * 40, "cannot be read"),
        "text.json": (b"hello", "not JSON"),
        "list.json": (b"[1, 2]", "holds no JSON object"),
        "empty.json": (b"", "not JSON"),
        "other.json": (b'{"a": 1}', "_metadata is missing"),
        "nan.json": (whole.replace(b"10.5", b"NaN", 1) if b"10.5" in whole else b'{"a": NaN}', "."),
        "half.json": (b'{"_metadata": {"sequence": 1}}', "missing"),
    }
    for name, (content, problem) in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(NotAnExportError, match=problem):
            replay([tmp_path / name])
    with pytest.raises(NotAnExportError, match="No such file"):
        replay([tmp_path / "absent.json"])
    with pytest.raises(NotAnExportError, match=r"readable metadata\.json"):
        replay([tmp_path])


def test_an_export_that_breaks_the_contract_is_not_replayed(chain: list[Path], tmp_path: Path) -> None:
    def miscounted(document: dict[str, Any]) -> None:
        document["session_data"]["symbols"]["A"]["session"]["data"]["1m"]["count"] += 1

    with pytest.raises(NotAnExportError, match=r"A\.session\.1m: count 16, and 14 rows|count"):
        replay([chain[0], edited(chain[1], tmp_path, miscounted)])


def test_compression_is_told_by_content(chain: list[Path], tmp_path: Path) -> None:
    (tmp_path / "packed.json").write_bytes(gzip.compress(chain[1].read_bytes()))
    shutil.copy(chain[0], tmp_path / "plain.gz")
    assert replay([tmp_path / "packed.json", tmp_path / "plain.gz"]).metadata["sequence"] == 2


def test_metadata_is_found_wherever_it_stands(chain: list[Path], tmp_path: Path) -> None:
    document = json.loads(chain[1].read_bytes())
    turned = tmp_path / "turned.json"
    turned.write_text(json.dumps(dict(reversed(document.items())), indent=1))
    assert read_metadata(turned) == document["_metadata"]
    wide = tmp_path / "wide.json"
    document["_metadata"]["changed_paths"] = ["/x"] * 100_000
    wide.write_text(json.dumps(document))
    assert len(read_metadata(wide)["changed_paths"]) == 100_000
