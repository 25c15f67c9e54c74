"""`Signal`: readers wait for the next snapshot on their own threads, and are let go when the run ends."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mismartera.engine.session.session_data import SessionData
from tests.golden.small import make_system, minutes, us

PATIENCE_S = 20.0


def bar(minute: int) -> dict[str, Any]:
    prices = {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1}
    return {"timestamp": us("2024-07-02T09:30-04:00") + minute * 60_000_000, **prices}


def test_a_reader_waits_for_another_snapshot_than_the_one_it_has() -> None:
    data = SessionData(["A"], timezone="America/New_York")
    first = data.snapshot
    assert data.published.wait(first, 0.01) is first
    data.append_bar("A", "1m", bar(0))
    second = data.published.wait(first)
    assert second is data.snapshot is not first
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(data.published.wait, second, PATIENCE_S) for _ in range(3)]
        while data.published.awaited < 3:
            threading.Event().wait(0.001)
        data.append_bar("A", "1m", bar(1))
        received = [future.result() for future in waiting]
    assert all(snapshot is not second and snapshot.logs["1m"].rows == 2 for snapshot in received)
    assert data.published.awaited == 0


def test_a_publisher_nobody_waits_for_takes_no_lock() -> None:
    data = SessionData(["A"])
    with data.published._news:  # whoever needed it would wait for ever
        publishing = threading.Thread(target=data.publish, args=(1,))
        publishing.start()
        publishing.join(PATIENCE_S)
        assert not publishing.is_alive()
    assert data.snapshot.now_us == 1


def test_readers_follow_a_run_to_its_end(tmp_path: Path) -> None:
    system = make_system(tmp_path, minutes("A", "2024-07-02T09:30-04:00", 390), "2024-07-02")
    names: set[str] = set()

    def follow() -> list[int]:
        snapshot, instants = system.snapshot, []
        while not system.published.closed:
            snapshot = system.published.wait(snapshot)
            instants.append(snapshot.now_us)
        names.add(threading.current_thread().name)
        return instants

    with ThreadPoolExecutor(2, thread_name_prefix="reader") as pool:
        readers = [pool.submit(follow) for _ in range(2)]
        system.run()
        followed = [reader.result(PATIENCE_S) for reader in readers]
    assert all(name.startswith("reader") for name in names)
    for instants in followed:
        assert instants == sorted(instants)
        assert instants[-1] == us("2024-07-02T16:00-04:00")
    last = system.snapshot
    assert system.published.wait(last) is last  # nothing more comes, so nobody is kept


def test_a_system_that_never_started_lets_its_readers_go(tmp_path: Path) -> None:
    system = make_system(tmp_path, minutes("A", "2024-07-02T09:30-04:00", 1), "2024-07-02")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(system.published.wait, system.snapshot)
        system.stop()
        assert waiting.result(PATIENCE_S) is system.snapshot
