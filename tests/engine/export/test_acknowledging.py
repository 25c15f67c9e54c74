"""Receipts, and acknowledging by (consumer, run, sequence): the cursor moves to what was received, or nothing does."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mismartera.engine.export.formats.registry import FORMATS
from mismartera.engine.export.reading.loading import load_export
from mismartera.engine.export.reading.replay import Replay
from mismartera.engine.system.receipt import ExportReceipt
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.errors import DataError, StateError, UnknownNameError
from tests.golden.exporting import every
from tests.golden.small import make_system, minutes


@pytest.fixture
def system(tmp_path: Path) -> Iterator[SystemManager]:
    rows = minutes("A", "2024-07-03T09:30-04:00", 210, without=[3]) + minutes("B", "2024-07-03T09:30-04:00", 60)
    made = make_system(tmp_path, rows, "2024-07-03")
    yield made
    made.stop()


def key(document: dict[str, Any]) -> dict[str, Any]:
    """What an acknowledgement needs, from nothing but the document."""
    metadata = document["_metadata"]
    return {
        "consumer": metadata["consumer"],
        "run_id": document["performance_metrics"]["run_id"],
        "sequence": metadata["sequence"],
    }


@pytest.mark.parametrize("form", FORMATS)
def test_a_receipt_says_what_was_written(system: SystemManager, tmp_path: Path, form: str) -> None:
    system.register_consumer("desk", symbols=["B"])
    system.run()
    first = system.export_status(tmp_path / f"a.{form}", consumer="desk")
    again = system.export_status(tmp_path / f"b.{form}", consumer="desk", complete=False)
    files = list(first.path.iterdir()) if first.path.is_dir() else [first.path]
    assert first.bytes == sum(file.stat().st_size for file in files)
    assert (first.path, first.format, first.mode) == (tmp_path / f"a.{form}", form, "complete")
    assert (first.rows, first.symbols, first.threads) == (60 + 12, 1, 4)
    assert (first.sequence, first.base_sequence, again.sequence, again.base_sequence) == (1, None, 2, 1)
    assert (again.rows, again.mode, again.consumer) == (0, "delta", "desk")
    assert first.generated_at == again.generated_at == "2024-07-03T13:00:00-04:00"
    assert first.run_id == system.run_id
    for name in ("snapshot_s", "encode_s", "write_s", "sync_s"):
        assert getattr(first, name) > 0, name
    assert first.total_s == first.snapshot_s + first.encode_s + first.write_s + first.sync_s
    assert load_export(first)["_metadata"]["sequence"] == 1
    assert os.fspath(first) == str(first.path)
    with pytest.raises(AttributeError):
        first.rows = 0  # type: ignore[misc]


def test_threads_are_counted(system: SystemManager, tmp_path: Path) -> None:
    assert system.export_status(tmp_path / "a.json").threads == 0  # none exists before the start
    system.run()
    assert system.export_status(tmp_path / "a.json").threads == 4


def test_an_export_is_acknowledged_by_what_its_document_says(system: SystemManager) -> None:
    documents, state = [], Replay()

    def take() -> None:
        document = system.export().to_json()
        system.acknowledge(**key(document))
        documents.append(document)

    every(system, 45, take)
    system.run()
    take()
    for document in documents:
        state.apply(document)
    assert [document["_metadata"]["sequence"] for document in documents] == list(range(1, len(documents) + 1))
    assert state.to_json()["session_data"] == system.export(complete=True).to_json()["session_data"]
    assert sum(entry["rows"] for entry in system.export_log.entries()) == 209 + 42 + 60 + 12


@pytest.mark.parametrize("arrived", [0, 3, -1])
def test_of_several_exports_of_one_number_the_one_that_arrived_is_acknowledged(
    system: SystemManager, arrived: int
) -> None:
    made: list[dict[str, Any]] = []
    every(system, 30, lambda: made.append(system.export().to_json()))
    system.run()
    assert {document["_metadata"]["sequence"] for document in made} == {1}
    received = made[arrived]
    with pytest.raises(StateError, match=r"expected generated_at to be 2024-07-03T10:00:00-04:00 or .*, got None"):
        system.acknowledge(**key(received))
    system.acknowledge(**key(received), generated_at=received["_metadata"]["generated_at"])
    following, state = system.export().to_json(), Replay()
    first, second = (
        document["session_data"]["symbols"]["A"]["session"]["data"]["1m"]["count"] for document in (received, following)
    )
    assert first + second == 209
    state.apply(received)
    state.apply(following)
    assert state.to_json()["session_data"] == system.export(complete=True).to_json()["session_data"]


def test_a_file_may_be_acknowledged_later(system: SystemManager, tmp_path: Path) -> None:
    system.run()
    receipt = system.export_status(tmp_path / "a.json.gz", acknowledge=False)
    assert system.list_consumers()[0].sequence == 0
    assert system.export_log.entries() == []
    system.acknowledge(receipt)
    assert system.list_consumers()[0].sequence == 1
    [entry] = system.export_log.entries()
    assert (entry["format"], entry["sync_s"], entry["rows"]) == ("json.gz", receipt.sync_s, receipt.rows)
    with pytest.raises(StateError, match="expected a new export to be made first"):
        system.acknowledge(receipt)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run_id": "other"}, "export 2 of consumer 'default' cannot be acknowledged: expected an export of run 'RUN'"),
        ({"sequence": 1}, "export 1 of consumer 'default' cannot be acknowledged: expected number 2, got number 1"),
        ({"sequence": 3}, "expected number 2, got number 3"),
        ({"sequence": True}, "expected number 2, got number True"),
        ({"sequence": "2"}, "expected number 2, got number '2'"),
    ],
)  # fmt: skip
def test_what_is_not_due_is_refused(system: SystemManager, changes: dict[str, Any], message: str) -> None:
    system.run()
    system.acknowledge(system.export())
    due = key(system.export().to_json())
    with pytest.raises(StateError, match=re.escape(message.replace("RUN", system.run_id))):
        system.acknowledge(**due | changes)
    assert system.list_consumers()[0].sequence == 1
    system.acknowledge(**due)
    assert system.list_consumers()[0].sequence == 2


def test_an_acknowledgement_needs_all_three(system: SystemManager) -> None:
    system.run()
    due = key(system.export().to_json())
    with pytest.raises(UnknownNameError, match="consumer 'nobody' does not exist"):
        system.acknowledge(**due | {"consumer": "nobody"})
    for name in due:
        with pytest.raises(DataError, match=f"expected an export, or consumer, run_id and sequence, got .*{name}=None"):
            system.acknowledge(**{other: value for other, value in due.items() if other != name})
    system.acknowledge(**due)
    with pytest.raises(StateError, match="new export to be made first, since the last acknowledged one is number 1"):
        system.acknowledge(**due)
    system.export()
    system.reset_export()
    with pytest.raises(StateError, match="since the last acknowledged one is number 0"):
        system.acknowledge(**due)


def test_what_was_acknowledged_as_an_export_is_not_due_any_more(system: SystemManager) -> None:
    system.run()
    first, second = system.export(), system.export()
    system.acknowledge(consumer="default", run_id=system.run_id, sequence=1)
    for export in (first, second):
        with pytest.raises(StateError, match="cannot be acknowledged"):
            system.acknowledge(export)
    third = system.export()
    system.acknowledge(third)
    with pytest.raises(StateError, match="got number 2"):
        system.acknowledge(consumer="default", run_id=system.run_id, sequence=2)


@pytest.mark.parametrize("run_id", ["", "a b", "a\n", "x" * 65, 7])
def test_a_run_id_that_cannot_be_one_is_refused(system: SystemManager, run_id: Any) -> None:
    with pytest.raises(DataError, match="invalid run id: expected 1 to 64 printable characters without spaces"):
        SystemManager(system.config, system.data_manager.catalog, run_id=run_id)


def test_a_run_is_known_by_the_id_it_is_given(system: SystemManager, tmp_path: Path) -> None:
    again = SystemManager(system.config, system.data_manager.catalog, run_id="desk-42")
    again.run()
    receipt = again.export_status(tmp_path / "a.json")
    assert isinstance(receipt, ExportReceipt)
    assert receipt.run_id == load_export(receipt.path)["performance_metrics"]["run_id"] == "desk-42"
    assert SystemManager(system.config, system.data_manager.catalog).run_id != system.run_id
