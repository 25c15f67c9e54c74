"""The parity law: a session that is fed holds what one that was staged holds, at every instant, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mismartera.engine.export.consumers.consumers import DEFAULT, Consumers
from mismartera.engine.session.session_data import SessionData
from mismartera.engine.state.snapshot import Snapshot
from mismartera.engine.system.system_manager import SystemManager
from mismartera.sql.live.live_sql import LiveSql
from tests.contract import load_contract

from .naive import Row, length_us
from .worlds import World, laws, table_of, worlds

TABLES = ("session_bars", "bars", "historical_bars", "gaps", "quality", "session_metrics", "symbols", "indicators")


def figures(snapshot: Snapshot, sql: LiveSql | None) -> dict[str, Any]:
    """Everything a snapshot shows: the exported section, figures, and SQL where it is asked."""
    metrics = snapshot.metrics()
    shown: dict[str, Any] = {
        "now": snapshot.now_us,
        "metrics": [values.tobytes() for values in (metrics.volume, metrics.high, metrics.low, metrics.vwap)],
        "quality": {name: kind.quality().tobytes() for name, kind in snapshot.kinds.items()},
        "gaps": {name: (kind.gap_count.tolist(), kind.missing.tolist()) for name, kind in snapshot.kinds.items()},
    }
    if sql is not None:
        with sql.open(snapshot) as session:
            shown |= {name: session.query(f"SELECT * FROM {name} ORDER BY ALL").to_pydict() for name in TABLES}
    return shown


def exported(data: SessionData) -> dict[str, Any]:
    return data.to_json()


class Staged:
    """What a run over the catalog shows at the instants of its last session that are looked at."""

    def __init__(self, system: SystemManager, sql: LiveSql, seed: int) -> None:
        self.system, self.sql = system, sql
        self.random = random.Random(seed)
        self.shown: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
        system.hooks.stepped.append(self.step)
        system.hooks.activated.append(self.shown.clear)

    def step(self, now_us: int) -> None:
        if self.random.random() < 0.15:
            data = self.system.session_data
            asked = self.sql if self.random.random() < 0.2 else None
            self.shown[now_us] = exported(data), figures(data.snapshot, asked)


def fed_like(system: SystemManager, world: World) -> SessionData:
    """A session like the system's last one, before its first row."""
    data = SessionData(
        world.symbols,
        base_interval=world.base,
        derived_intervals=world.derived,
        timezone=system.time_manager.get_market_timezone().key,
        extended_hours=world.extended,
    )
    session = system.time_manager.window_sessions()[-1]
    data.begin_session(session, session.day_start_us if world.extended else session.open_us)
    data.load_history(system.snapshot.history)
    data.set_session_active(True)
    return data


def arrivals(world: World) -> list[tuple[int, Row]]:
    """The rows of the last session with the instants they become known at, in that order."""
    session = world.window[-1]
    ends = {bucket.label_us: bucket.known_us for bucket in session.buckets(world.base, extended=world.extended)}
    rows = [row for row in world.rows if session.has(row.start_us)]
    return sorted((ends.get(row.start_us, row.start_us + length_us(world.base)), row) for row in rows)


def batches(rows: list[tuple[int, Row]], randomness: random.Random) -> Iterator[list[Row]]:
    at = 0
    while at < len(rows):
        size = randomness.choice([1, 1, 2, 3, 7, 40])
        yield [row for _, row in rows[at : at + size]]
        at += size


def compared(data: SessionData, wanted: tuple[dict[str, Any], dict[str, Any]], sql: LiveSql) -> None:
    document, shown = wanted
    assert exported(data) == document
    assert figures(data.snapshot, sql if "bars" in shown else None) == shown


@laws(14)
@given(worlds(), st.integers(0, 2**32))
def test_fed_in_order_a_session_is_the_staged_one_at_every_instant(world: World, seed: int) -> None:
    sql, randomness = LiveSql(), random.Random(seed)
    with world.system() as system:
        staged = Staged(system, sql, seed)
        system.run()
        data = fed_like(system, world)
        rest = arrivals(world)
        for now_us, wanted in staged.shown.items():
            due = [pair for pair in rest if pair[0] <= now_us]
            rest = rest[len(due) :]
            for batch in batches(due, randomness):
                data.append_bars(world.base, table_of(batch))
            if data.snapshot.now_us != now_us or randomness.random() < 0.3:  # no bar ends now, or the feed says so
                data.publish(now_us)
            compared(data, wanted, sql)
    sql.close()


@laws(14)
@given(worlds(), st.integers(0, 2**32))
def test_however_the_rows_came_the_last_state_is_that_of_the_final_rows(world: World, seed: int) -> None:
    """Late, repeated and corrected rows, with readers in between: what is served in the end is the same."""
    randomness = random.Random(seed)
    contract = load_contract()
    with world.system() as system:
        system.run()
        data = fed_like(system, world)
        consumers, state = Consumers(), None
        rows = [row for _, row in arrivals(world)]
        wrong = [row._replace(volume=row.volume + 1, close=row.low) for row in rows if randomness.random() < 0.2]
        first = {(row.symbol, row.start_us): row for row in [*rows, *wrong]}
        order = sorted(first.values(), key=lambda row: row.start_us + randomness.choice([0, 0, 0, 10**9, 10**10]))
        final = [row for row in rows if first[row.symbol, row.start_us] != row]
        final += [row for row in rows if randomness.random() < 0.1]
        for batch in [batch for part in (order, final) for batch in batches([(0, row) for row in part], randomness)]:
            data.append_bars(world.base, table_of(batch))
            if randomness.random() < 0.3:
                export = consumers.export(
                    DEFAULT, data.snapshot, dict, complete=False, debug=False, generated_at="2024-01-01T00:00:00+00:00"
                )
                state = contract.apply(state, export.to_json())
                consumers.acknowledge(export)
        close_us = system.time_manager.window_sessions()[-1].day_stop_us
        data.publish(close_us)
        delta, whole = (
            consumers.export(DEFAULT, data.snapshot, dict, complete=complete, debug=False, generated_at="t")
            for complete in (False, True)
        )
        assert contract.differences(contract.apply(state, delta.to_json()), whole.to_json()) == []
        ordered = fed_like(system, world)
        if rows:
            ordered.append_bars(world.base, table_of(rows))
        ordered.publish(close_us)
        assert exported(data) == exported(ordered)
        assert figures(data.snapshot, None) == figures(ordered.snapshot, None)
