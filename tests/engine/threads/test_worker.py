"""Worker: jobs in order, and an end that is clean."""

from __future__ import annotations

import signal
import threading

import pytest

from mismartera.engine.threads.worker import Worker

PATIENCE_S = 20.0


def test_jobs_are_done_in_order() -> None:
    worker, done = Worker("W"), []
    worker.start()
    futures = [worker.submit(lambda number=number: done.append(number) or number) for number in range(20)]
    assert [future.result(PATIENCE_S) for future in futures] == list(range(20)) == done
    worker.close()


def test_an_exception_belongs_to_its_job_and_the_next_one_is_done() -> None:
    worker = Worker("W")
    worker.start()
    broken, sound = worker.submit(lambda: 1 // 0), worker.submit(lambda: 7)
    with pytest.raises(ZeroDivisionError):
        broken.result(PATIENCE_S)
    assert sound.result(PATIENCE_S) == 7
    worker.close()


def test_close_finishes_the_job_at_work_drops_those_that_wait_and_joins() -> None:
    worker, began, go = Worker("W"), threading.Event(), threading.Event()
    worker.start()
    at_work = worker.submit(lambda: (began.set(), go.wait(PATIENCE_S)))
    waiting = [worker.submit(lambda: 1) for _ in range(3)]
    assert began.wait(PATIENCE_S)
    assert worker.depth() == 3
    closer = threading.Thread(target=worker.close)
    closer.start()
    for future in waiting:
        while not future.cancelled():
            assert closer.is_alive()
    go.set()
    closer.join(PATIENCE_S)
    assert at_work.done()
    assert not at_work.cancelled()
    assert not worker.is_alive()
    assert not worker.running


def test_close_is_idempotent_and_a_later_job_is_cancelled() -> None:
    worker = Worker("W")
    worker.start()
    worker.close()
    worker.close()
    assert worker.submit(lambda: 1).cancelled()
    assert not worker.is_alive()


def test_a_worker_that_never_started_can_be_closed() -> None:
    worker = Worker("W")
    future = worker.submit(lambda: 1)
    worker.close()
    assert future.cancelled()


def test_a_worker_may_close_itself() -> None:
    worker = Worker("W")
    worker.start()
    assert worker.submit(worker.close).result(PATIENCE_S) is None
    worker.join(PATIENCE_S)
    assert not worker.is_alive()


def test_the_section_of_an_export() -> None:
    worker = Worker("W")
    assert worker.to_json() == {
        "thread_info": {"name": "W", "is_alive": False, "daemon": True},
        "_running": False,
    }
    assert worker.to_json(debug=True)["queue_depth"] == 0


def test_an_interrupted_join_leaves_the_thread_alive() -> None:
    worker, hold = Worker("held"), threading.Event()
    worker.start()
    held = worker.submit(hold.wait)
    timer = threading.Timer(0.1, lambda: signal.raise_signal(signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        worker.join(PATIENCE_S)
    assert worker.is_alive()
    hold.set()
    assert held.result(PATIENCE_S)
    worker.close()
    assert not worker.is_alive()
