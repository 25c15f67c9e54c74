"""Eight threads export at full speed while a backtest streams: every chain replays, every export is of one instant."""

from __future__ import annotations

import datetime as dt
import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.generate import generate
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.config import parse_config
from tests.contract import Judge, load_contract

SYMBOLS = [f"S{number:02d}" for number in range(40)]
CONFIG: dict[str, Any] = {
    "session_name": "Crowded",
    "backtest_config": {"start_date": "2025-07-02", "end_date": "2025-07-03"},
    "session_data_config": {
        "symbols": SYMBOLS,
        "streams": ["5m"],
        "derived_intervals": ["15m", "30m"],
        "historical": {"data": [{"interval": "15m", "trailing_days": 1}]},
    },
}
FILTERS: list[dict[str, Any]] = [
    {},
    {"symbols": SYMBOLS[:3]},
    {"symbols": SYMBOLS[-4:], "intervals": ["5m", "30m"]},
    {"symbols": SYMBOLS[10:30], "intervals": ["15m"]},
    {"intervals": ["30m"]},
    {"symbols": SYMBOLS[7:9], "parts": ["session"]},
    {"parts": ["historical"]},
    {"symbols": SYMBOLS[20:22]},
]
AT_ONCE, EACH = 20, 4  # exports of a thread in ten steps: at most, at least
MINUTES = {"5m": 5, "15m": 15, "30m": 30}


class Crowd:
    """Threads that export, each for a consumer of its own, until told to stop.

    They go at full speed, but bounded to a few exports while the run takes ten steps; and the run waits for each to
    make some. So there are as many as the test can check, spread over the whole run, however fast either side is.
    """

    def __init__(self, system: SystemManager) -> None:
        self.system = system
        self.chains: dict[str, list[bytes]] = {f"thread {number}": [] for number in range(len(FILTERS))}
        self.over = False
        self._left = dict.fromkeys(self.chains, AT_ONCE)
        self._changed = threading.Condition()
        self._steps = 0
        for name, wanted in zip(self.chains, FILTERS, strict=True):
            system.register_consumer(name, **wanted)
        system.hooks.stepped.append(lambda _: self._stepped())

    def export(self, name: str) -> None:
        chain = self.chains[name]
        try:
            while self._may_go_on(name):
                export = self.system.export(name, complete=len(chain) % 17 == 11)
                document = b"".join(export.pieces())
                if len(chain) % 5 == 3:  # made, and lost on its way
                    export = self.system.export(name)
                    document = b"".join(export.pieces())
                self.system.acknowledge(export)
                chain.append(document)
        finally:
            self.stop()

    def stop(self) -> None:
        with self._changed:
            self.over = True
            self._changed.notify_all()

    def _may_go_on(self, name: str) -> bool:
        with self._changed:
            if self._left[name] == 0:
                self._changed.wait_for(lambda: self.over or self._left[name] > 0)
            self._left[name] -= 1
            if self._left[name] == AT_ONCE - EACH - 1:
                self._changed.notify_all()
            return not self.over

    def _stepped(self) -> None:
        self._steps += 1
        if self._steps % 10:
            return
        with self._changed:
            self._changed.wait_for(lambda: self.over or max(self._left.values()) < AT_ONCE - EACH)
            self._left = dict.fromkeys(self.chains, AT_ONCE)
            self._changed.notify_all()


@contextmanager
def switching(seconds: float) -> Iterator[None]:
    """Have threads take turns this often: more orders of events, and the stream is not starved."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@pytest.fixture
def contract() -> Judge:
    found = load_contract()
    found.copy = SimpleNamespace(deepcopy=lambda value: value)  # type: ignore[attr-defined]  # states are not kept
    return found


def test_chains_of_eight_threads_replay(tmp_path: Path, contract: Judge) -> None:
    generate(Catalog(tmp_path), SYMBOLS, dt.date(2025, 7, 1), dt.date(2025, 7, 3), interval="5m", seed=5, missing=0.03)
    system = SystemManager(parse_config(CONFIG), tmp_path)
    crowd = Crowd(system)
    with switching(0.0002), ThreadPoolExecutor(len(crowd.chains)) as pool:
        futures = [pool.submit(crowd.export, name) for name in crowd.chains]
        try:
            system.run()
        finally:
            crowd.stop()
        for future in futures:
            future.result()
    for name, chain in crowd.chains.items():
        chain.append(b"".join(system.export(name).pieces()))
        whole = system.export(name, complete=True).to_json()
        state = None
        for number, text in enumerate(chain, start=1):
            document = json.loads(text)
            assert document["_metadata"]["sequence"] == number
            assert contract.problems(document) == []
            of_one_instant(document)
            state = contract.apply(state, document)
        assert contract.differences(state, whole) == []


def of_one_instant(document: dict[str, Any]) -> None:
    """Assert that clock, rows and gaps of all symbols and intervals are those of one moment."""
    session, moment = document["session_data"]["session"], document["_metadata"]["generated_at"]
    assert document["time_manager"]["current_time"] == moment
    if session["date"] is None:
        return
    assert (session["date"], session["time"]) == (moment[:10], moment[11:19])
    for thread in document["threads"].values():
        assert thread.get("_session_active", session["active"]) == session["active"]
    assert document["_metadata"]["session_date"] == session["date"]
    opened = dt.datetime.fromisoformat(f"{session['date']}T09:30:00-04:00")
    passed = max(int((dt.datetime.fromisoformat(moment) - opened).total_seconds()) // 60, 0)
    for symbol, parts in document["session_data"]["symbols"].items():
        for kind, section in parts["session"]["data"].items():
            if "gaps" in section:
                due = section["total_count"] + section["gaps"]["missing_bars"]
                assert due == passed // MINUTES[kind], (symbol, kind, moment)
            else:
                assert section["total_count"] == 0
