"""Ctrl-C while a query runs: it stops at once, and the session answers the next one."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mismartera.cli.interruptible import interruptible
from mismartera.sql.database import Database, Limits
from mismartera.sql.session import SqlSession

ENDLESS = "SELECT max(a.range * b.range) FROM range(1000000000) a, range(1000000000) b"
ENDLESS_PIVOT = "PIVOT (FROM range(1000000000) a, range(1000000000) b) ON a.range % 2"


@pytest.mark.parametrize(("query", "step"), [(ENDLESS, "_answer"), (ENDLESS_PIVOT, "_checked")])
def test_an_interrupt_stops_the_query_and_not_the_session(query, step):
    began = threading.Event()

    def interrupt():
        assert began.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    with SqlSession(Database(Limits(timeout_s=0)), Limits(timeout_s=0), {}, owns_database=True) as session:
        work = getattr(session, step)
        setattr(session, step, lambda *asked: (began.set(), work(*asked))[1])
        with ThreadPoolExecutor(1) as pool:
            pool.submit(interrupt)
            with pytest.raises(KeyboardInterrupt):
                # without a limit of time: it would never end by itself
                interruptible(lambda: session.query(query), session.interrupt)
        assert session.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_what_a_job_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 // 0, lambda: None)


def test_outside_of_the_main_thread_nothing_is_started():
    with ThreadPoolExecutor(1) as pool:
        ran, called = pool.submit(
            lambda: (interruptible(threading.get_ident, lambda: None), threading.get_ident())
        ).result()
    assert ran == called
