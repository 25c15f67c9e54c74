"""An export goes into whatever takes bytes, its text is bounded, and a consumer costs its integers alone."""

from __future__ import annotations

import gc
import json
import socket
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mismartera.engine.export.document import row_texts, rows
from mismartera.engine.export.document.kind_section import number_texts
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.config import parse_config
from tests.golden.exporting import CONFIG, make_catalog
from tests.golden.small import make_system, minutes

FIRST = "2024-07-02T09:30-04:00"


def finished(folder: Path) -> SystemManager:
    bars = [row for symbol in ("A", "B") for row in minutes(symbol, FIRST, 60, without=(3, 4))]
    before = [row for symbol in ("A", "B") for row in minutes(symbol, "2024-07-01T09:30-04:00", 90)]
    system = make_system(folder, bars + before, "2024-07-02", history=[("1m", 1)])
    system.run()
    return system


def test_a_socket_is_a_sink_like_any_other(tmp_path: Path) -> None:
    export = finished(tmp_path).export(complete=True)
    near, far = socket.socketpair()
    received = bytearray()

    def listen() -> None:
        while part := far.recv(1 << 16):
            received.extend(part)

    listener = threading.Thread(target=listen)
    listener.start()
    drained = export.write_to(lambda pieces: near.sendall(b"".join(pieces)))
    near.close()
    listener.join()
    far.close()
    assert drained.bytes == len(received)
    assert json.loads(received) == export.to_json()


def test_a_consumer_keeps_no_rows_alive(tmp_path: Path) -> None:
    system = finished(tmp_path)
    system.system_info(complete=True)
    segment = weakref.ref(system.snapshot.logs["1m"].segments[0])
    system.session_data.clear_session_bars()
    gc.collect()
    held = segment()
    # The coordinator may hand the day on as history; the consumer's cursor must not be what holds it.
    holders = [] if held is None else [type(holder).__name__ for holder in gc.get_referrers(held)]
    assert "Cursor" not in holders
    system.stop()


def test_rows_are_encoded_once_for_all_exports(tmp_path: Path, monkeypatch) -> None:
    system = finished(tmp_path)
    passes = []
    encode = rows.encode
    monkeypatch.setattr(
        "mismartera.engine.export.document.row_texts.encode", lambda *args: passes.append(1) or encode(*args)
    )
    first = system.export(complete=True).to_json()
    assert len(passes) == 1  # history and all intervals of the session, in one pass
    assert system.export(complete=True).to_json() == first
    assert len(passes) == 1


def test_a_bound_too_small_for_the_text_keeps_none_and_changes_nothing(tmp_path: Path) -> None:
    system = finished(tmp_path)
    whole = system.export(complete=True).to_json()["session_data"]
    cache = system.session_data.text_cache
    kept = cache.nbytes()
    assert kept > 0
    bounded = SystemManager(system.config, system.data_manager.catalog, text_cache_bytes=100)
    bounded.run()
    assert bounded.export(complete=True).to_json()["session_data"] == whole
    assert bounded.session_data.text_cache.nbytes() == 0


def test_with_a_small_bound_a_quiet_delta_encodes_the_latest_rows_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticks and quotes tell their latest row in every export; where no text is kept, that row alone is encoded."""
    bounded = SystemManager(parse_config(CONFIG), make_catalog(tmp_path), text_cache_bytes=100)
    bounded.run()
    bounded.acknowledge(bounded.export(complete=True))
    encoded: list[int] = []
    encode = row_texts.encode

    def counted(rows: Any, *more: Any) -> Any:
        encoded.append(rows.num_rows)
        return encode(rows, *more)

    monkeypatch.setattr(row_texts, "encode", counted)
    document = bounded.export().to_json()
    assert document["session_data"]["symbols"][bounded.snapshot.symbols[0]]["session"]["data"]["ticks"]["latest"]
    assert set(encoded) == {1}
    assert bounded.session_data.text_cache.nbytes() == 0


def test_figures_that_are_no_numbers_are_null() -> None:
    assert number_texts(np.array([1.5, np.nan, np.inf, -np.inf])) == [b"1.5", b"null", b"null", b"null"]


def test_past_its_bound_the_cache_drops_what_was_used_longest_ago(tmp_path: Path) -> None:
    system = finished(tmp_path)
    unbounded = system.session_data.text_cache
    system.export(complete=True).to_bytes()
    whole = unbounded.nbytes()
    bounded = SystemManager(system.config, system.data_manager.catalog, text_cache_bytes=int(whole * 1.3))
    bounded.run()
    for _ in range(3):
        assert bounded.export(complete=True).to_bytes()
        assert 0 < bounded.session_data.text_cache.nbytes() <= int(whole * 1.3)
