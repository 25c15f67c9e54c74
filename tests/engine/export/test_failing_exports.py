"""Exports that fail, wherever it is: nothing is left, what was there stays, and the consumer's cursor does not move."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mismartera.engine.export.formats.registry import FORMATS
from mismartera.engine.export.reading.loading import load_export
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.errors import ExportError, StateError
from tests.golden.small import make_system, minutes


@pytest.fixture
def system(tmp_path: Path) -> SystemManager:
    made = make_system(tmp_path, minutes("A", "2024-07-03T09:30-04:00", 210), "2024-07-03")
    made.run()
    return made


@contextmanager
def syncing_fails_after(calls: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Let so many files and folders become durable, and no more; yields the calls there were."""
    sync, made = os.fsync, []

    def fsync(handle: int) -> None:
        if len(made) == calls:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        made.append(handle)
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield made


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("named", [True, False])
def test_whichever_sync_fails_nothing_is_left(
    system: SystemManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, named: bool
) -> None:
    folder = tmp_path / "out"
    where: dict[str, Any] = {"path": folder / f"a.{form}"} if named else {"folder": folder}
    failed = 0
    while True:
        with syncing_fails_after(failed, monkeypatch):
            try:
                written = system.export_status(**where, complete=False, form=form).path
                break
            except ExportError:
                failed += 1
        assert list(folder.iterdir()) == []
        assert [info.sequence for info in system.list_consumers()] == [0]
    assert failed >= 2  # the file and the folder its name is in
    assert list(folder.iterdir()) == [written]
    assert load_export(written)["session_data"]["symbols"]["A"]["session"]["data"]["1m"]["count"] == 210


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Have the operating system itself refuse to write more than this into a file, in the middle of it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("size", [0, 100, 1500])
def test_a_write_the_system_refuses_leaves_nothing(system: SystemManager, tmp_path: Path, form: str, size: int) -> None:
    folder = tmp_path / "out"
    with no_file_above(size), pytest.raises(ExportError, match="File too large"):
        system.export_status(folder / f"a.{form}", complete=False)
    assert list(folder.iterdir()) == []
    assert system.export().sequence == 1
    system.export_status(folder / f"a.{form}", complete=False)
    assert system.export().sequence == 2


def test_an_export_from_before_a_reset_cannot_be_acknowledged(system: SystemManager) -> None:
    system.acknowledge(system.export())
    kept = system.export()
    system.reset_export()
    system.acknowledge(system.export())
    assert system.export().sequence == kept.sequence
    with pytest.raises(StateError, match="the consumer was reset; its last one is number 1"):
        system.acknowledge(kept)


def test_the_lag_counts_what_a_consumer_is_sent(system: SystemManager) -> None:
    system.register_consumer("five", intervals=["5m"])
    system.register_consumer("past", parts=["historical"])
    assert {info.name: info.lag_rows for info in system.list_consumers()} == {"default": 252, "five": 42, "past": 0}
    system.acknowledge(system.export("five"))
    assert {info.name: info.lag_rows for info in system.list_consumers()} == {"default": 252, "five": 0, "past": 0}
