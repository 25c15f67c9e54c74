"""The replay law, as a machine: whatever happens between exports, what a consumer holds is the complete export."""

from __future__ import annotations

import datetime as dt
import errno
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.export.document.document import Export
from mismartera.engine.export.reading.loading import load_export
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.config import parse_config
from mismartera.schemas.errors import ExportError, StateError
from mismartera.schemas.gaps import GapInfo
from mismartera.schemas.quotes import QUOTE_SCHEMA
from mismartera.schemas.ticks import TICK_SCHEMA
from tests.contract import load_contract

from .gate import Gate
from .worlds import World, laws, worlds

WAYS = ("python", "pieces", "json", "json.gz", "json.zst", "arrow", "parquet")


@dataclass
class Held:
    """What a consumer holds, and what its metadata must say next."""

    state: Any = None
    sequence: int = 0
    told_at: str | None = None
    session: tuple[str | None, int] = (None, 0)
    acknowledged: int = 0  # grows with every export received and every reset: an export older than that is void


@dataclass(frozen=True)
class Late:
    """An export that was made and not delivered yet."""

    export: Export
    whole: dict[str, Any]
    acknowledged: int
    session: tuple[str | None, int]


class ExportMachine(RuleBasedStateMachine):
    """A run that stands still between rules; consumers with filters of their own; deliveries that fail or come late."""

    contract: Any

    @initialize(
        world=worlds(max_sessions=3).filter(lambda world: len(world.window) > 1),
        late=st.integers(0, 2),
        events=st.booleans(),
        seed=st.integers(0, 2**32),
        ahead=st.sampled_from([0, 1, 1, 1]),
        consumers=st.integers(0, 2),
        data=st.data(),
    )
    def begin(
        self, world: World, late: int, events: bool, seed: int, ahead: int, consumers: int, data: st.DataObject
    ) -> None:
        self.random = random.Random(seed)
        self.world = world
        late = min(late, len(world.symbols) - 1)
        first = world.symbols[: len(world.symbols) - late]
        self.joining = world.symbols[len(first) :]
        self.root = Path(tempfile.mkdtemp(prefix="laws-"))
        catalog = world.write(self.root / "catalog")
        config = replace(world, symbols=first).config()
        if events:
            add_events(catalog, world, self.random)
            config["session_data_config"]["streams"] += ["ticks", "quotes"]
        self.system = SystemManager(parse_config(config), catalog)
        self.gate = Gate(self.system)
        self.resets = 0
        self.held = {"default": Held()}
        self.late: list[Late] = []
        self.files = 0
        for _ in range(ahead):
            self.gate.advance()
        for _ in range(consumers):
            self.add_consumer(data)

    def teardown(self) -> None:
        if hasattr(self, "gate"):
            self.gate.open()
            self.system.stop()
            shutil.rmtree(self.root)

    # --- the run goes on ------------------------------------------------------------------------------------------

    @rule(steps=st.integers(1, 12))
    def step(self, steps: int) -> None:
        self.gate.advance(steps)

    @precondition(lambda self: self.gate.point != "over")
    @rule(steps=st.sampled_from([15, 40, 500]))
    def leap(self, steps: int) -> None:
        self.gate.advance(steps)

    @precondition(lambda self: self.gate.point != "over")
    @rule(steps=st.integers(1, 30))
    def roll_over(self, steps: int) -> None:
        self.gate.advance(500)
        while self.gate.point not in ("activated", "over"):
            self.gate.advance(500)
        self.gate.advance(steps)

    @precondition(lambda self: self.gate.point != "over")
    @rule(data=st.data(), steps=st.lists(st.integers(1, 9), min_size=1, max_size=4))
    def stream(self, data: st.DataObject, steps: list[int]) -> None:
        """What a consumer usually does: a delta now and then."""
        name = data.draw(self.names())
        for count in steps:
            self.gate.advance(count)
            self.take(name, "python", complete=False)

    @precondition(lambda self: self.joining and self.gate.point != "over")
    @rule()
    def join(self) -> None:
        symbol = self.joining.pop()
        self.gate.join(symbol)
        assert symbol in self.system.snapshot.symbols or self.gate.point == "over"

    # --- consumers ------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.held) < 4)
    @rule(data=st.data())
    def register(self, data: st.DataObject) -> None:
        self.add_consumer(data)

    def add_consumer(self, data: st.DataObject) -> None:
        kinds = [self.world.base, *self.world.derived, "ticks", "quotes"]
        wanted = {
            "symbols": data.draw(some_of(self.system.snapshot.symbols)),
            "intervals": data.draw(some_of(kinds)),
            "parts": data.draw(some_of(["session", "historical"])),
        }
        name = f"consumer {len(self.held)}"
        self.system.register_consumer(name, **wanted)
        self.held[name] = Held()

    @rule(data=st.data(), complete=st.booleans(), way=st.sampled_from(WAYS))
    def deliver(self, data: st.DataObject, complete: bool, way: str) -> None:
        self.take(data.draw(self.names()), way, complete=complete)

    @rule(data=st.data())
    def deliver_a_delta(self, data: st.DataObject) -> None:
        self.take(data.draw(self.names()), "python", complete=False)

    @rule(data=st.data())
    def look_at_the_lag(self, data: st.DataObject) -> None:
        name = data.draw(self.names())
        [info] = [info for info in self.system.list_consumers() if info.name == name]
        delta = self.system.export(name).to_json()
        assert self.contract.problems(delta) == []
        counts = [section["count"] for _, part, _, section in self.contract.sections(delta) if part == "session"]
        assert info.lag_rows == sum(counts)

    @rule(data=st.data(), complete=st.booleans(), drawn=st.integers(0, 5))
    def make_and_keep(self, data: st.DataObject, complete: bool, drawn: int) -> None:
        name = data.draw(self.names())
        export = self.system.export(name, complete=complete)
        for _ in zip(range(drawn), export.pieces(), strict=False):
            pass
        self.late.append(Late(export, self.whole(name), self.held[name].acknowledged, self.session()))

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def deliver_late(self, data: st.DataObject) -> None:
        late = self.late.pop(data.draw(st.integers(0, len(self.late) - 1)))
        export, held = late.export, self.held[late.export.consumer]
        document = export.to_json()
        assert self.contract.problems(document) == []
        if late.acknowledged != held.acknowledged and held.sequence:
            with pytest.raises(StateError, match="cannot be acknowledged"):
                self.system.acknowledge(export)
        elif late.acknowledged == held.acknowledged:
            self.system.acknowledge(export)
            self.receive(export.consumer, document, late.whole, late.session)

    @rule(data=st.data(), complete=st.booleans(), way=st.sampled_from(WAYS[2:]), what=st.sampled_from(["disk", "path"]))
    def fail(self, data: st.DataObject, complete: bool, way: str, what: str) -> None:
        name, folder = data.draw(self.names()), self.root / "failing"
        if what == "path":
            folder = self.root / "failing" / "file"
            folder.parent.mkdir(exist_ok=True)
            folder.write_text("in the way")
        disk = full_disk(data.draw(st.integers(0, 1))) if what == "disk" else nullcontext()
        with disk, pytest.raises(ExportError):
            self.system.export_status(folder / f"a.{way}", complete=complete, consumer=name)
        left = [path.name for path in (self.root / "failing").iterdir()]
        assert left in ([], ["file"])

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        name = data.draw(self.names())
        self.system.reset_export(name)
        self.held[name] = Held(acknowledged=self.held[name].acknowledged + 1)

    # --- what is set by hand --------------------------------------------------------------------------------------

    @precondition(lambda self: self.system.snapshot.session is not None)
    @rule(data=st.data(), ranges=st.integers(0, 3))
    def set_gaps(self, data: st.DataObject, ranges: int) -> None:
        symbol, interval = self.place(data)
        snapshot = self.system.snapshot
        grid = snapshot.kinds[interval].columns.grid
        due = grid.expected_at(snapshot.now_us)
        most = min(40, (due - 1) // 3)
        places = sorted(data.draw(st.sets(st.integers(0, most), min_size=ranges and 1, max_size=ranges))) if due else []
        zone = dt.UTC if interval == "1d" else snapshot.timezone
        starts = [dt.datetime.fromtimestamp(us / 1e6, zone) for us in grid.expected_starts.tolist()]
        gaps = []
        for first in (at * 3 for at in places):
            last = first if first + 1 >= due or first + 1 in grid.breaks else first + 1
            gaps.append(GapInfo(symbol, starts[first], starts[last], last - first + 1, *self.retried(starts[first])))
        self.system.session_data.set_gaps(symbol, interval, gaps[::-1])
        quality = self.random.choice([None, None, 0.0, 12.5, 99.99, 100.0])
        if quality is not None:
            self.system.session_data.set_quality(symbol, interval, quality)

    @rule(data=st.data())
    def set_indicator(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(["by_hand", "mean_volume"]))
        values = [self.random.choice([1.5, float("nan"), 1e-300]) for _ in self.system.snapshot.symbols]
        self.system.session_data.set_historical_indicator(name, np.array(values))

    @rule()
    def drop_history(self) -> None:
        self.system.session_data.clear_historical_bars()

    @precondition(lambda self: self.gate.point == "ended" and not self.joining)
    @rule(metrics=st.booleans())
    def start_over(self, metrics: bool) -> None:
        data = self.system.session_data
        (data.reset_session_metrics if metrics else data.clear_session_bars)()
        self.resets += 1

    # --- the laws -------------------------------------------------------------------------------------------------

    @invariant()
    def consumers_stand_where_they_are(self) -> None:
        for info in self.system.list_consumers():
            held = self.held[info.name]
            assert (info.sequence, info.last_update) == (held.sequence, held.told_at)
            assert (info.lag_s is None) == (held.sequence == 0)

    def take(self, name: str, way: str, *, complete: bool) -> None:
        whole = self.whole(name)
        if way == "python":
            document = self.system.system_info(complete=complete, consumer=name, debug=self.random.random() < 0.1)
        elif way == "pieces":
            export = self.system.export(name, complete=complete)
            document = export.to_json()
            self.system.acknowledge(export)
        else:
            self.files += 1
            path = self.root / "out" / f"{self.files}.{way}"
            assert self.system.export_status(path, complete=complete, consumer=name).path == path
            document = load_export(path)
        self.receive(name, document, whole, self.session())
        again = self.system.export(name)
        assert (again.rows, again.metadata["changed_paths"]) == (0, [])

    def receive(
        self, name: str, document: dict[str, Any], whole: dict[str, Any], session: tuple[str | None, int]
    ) -> None:
        contract, held, meta = self.contract, self.held[name], document["_metadata"]
        assert contract.problems(document) == []
        complete = meta["complete"]
        assert meta["consumer"] == name
        assert meta["sequence"] == held.sequence + 1
        assert meta["base_sequence"] == (None if complete or not held.sequence else held.sequence)
        assert meta["last_update"] == (None if complete else held.told_at)
        assert meta["reset"] == (not complete and held.sequence > 0 and held.session != session)
        assert meta["generated_at"] == whole["_metadata"]["generated_at"] == document["time_manager"]["current_time"]
        assert meta["session_date"] == session[0] == document["session_data"]["session"]["date"]
        if not complete and not meta["reset"]:
            self.carries_what_is_new(document, held)
        held.state = contract.apply(held.state, document)
        assert contract.differences(held.state, whole) == []
        held.sequence, held.told_at, held.session = meta["sequence"], meta["generated_at"], session
        held.acknowledged += 1

    def carries_what_is_new(self, document: dict[str, Any], held: Held) -> None:
        for symbol, part, kind, section in self.contract.sections(document):
            if part == "session":
                had = 0 if held.state is None else held.state.rows(symbol, kind)
                assert section["count"] == section["total_count"] - had, (symbol, kind)

    def whole(self, name: str) -> dict[str, Any]:
        document = self.system.export(name, complete=True).to_json()
        assert self.contract.problems(document) == []
        return document

    def session(self) -> tuple[str | None, int]:
        session = self.system.snapshot.session
        return None if session is None else str(session.date), self.resets

    def names(self) -> st.SearchStrategy[str]:
        return st.sampled_from(sorted(self.held))

    def place(self, data: st.DataObject) -> tuple[str, str]:
        intervals = [self.world.base, *self.world.derived]
        return data.draw(st.sampled_from(self.system.snapshot.symbols)), data.draw(st.sampled_from(intervals))

    def retried(self, moment: dt.datetime) -> tuple[int, dt.datetime | None]:
        return self.random.choice([(0, None), (2, moment), (1, None)])


def some_of(names: Any) -> st.SearchStrategy[list[str] | None]:
    names = sorted(names)
    return st.none() | st.lists(st.sampled_from(names), min_size=1, max_size=len(names), unique=True)


def add_events(catalog: Catalog, world: World, randomness: random.Random) -> None:
    """A few ticks and quotes of each symbol in every session of the window, some of one instant."""
    places = [
        (
            symbol,
            randomness.randrange(session.open_us, session.close_us) // 60_000_000 * 60_000_000
            + randomness.choice([0, 1]),
        )
        for session in world.window
        for symbol in world.symbols
        for _ in range(randomness.choice([0, 1, 12]))
    ]
    symbols, stamps = [symbol for symbol, _ in places], [stamp for _, stamp in places]
    numbers = [1.0 + randomness.random() for _ in places]
    venues = [randomness.choice([None, "N", 'a "quote", a comma', "é"]) for _ in places]
    sizes = list(range(len(places)))
    ticks = [symbols, stamps, numbers, sizes, venues]
    quotes = [symbols, stamps, numbers, [number + 0.5 for number in numbers], sizes, sizes]
    for kind, schema, columns in (("ticks", TICK_SCHEMA, ticks), ("quotes", QUOTE_SCHEMA, quotes)):
        table = pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema)
        catalog.upsert(kind, table)


@contextmanager
def full_disk(after: int) -> Iterator[None]:
    """No file or folder becomes durable but the first `after`."""
    calls = iter(range(1000))
    sync = os.fsync

    def fsync(handle: int) -> None:
        if next(calls) >= after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    with mock.patch.object(os, "fsync", fsync):
        yield


def test_whatever_happens_between_exports_they_replay() -> None:
    ExportMachine.contract = load_contract()
    run_state_machine_as_test(ExportMachine, settings=settings(laws(50), stateful_step_count=40))
