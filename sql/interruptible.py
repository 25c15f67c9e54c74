"""Running a query so that Ctrl-C stops it at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def interruptible(job: Callable[[], T], stop: Callable[[], object]) -> T:
    """Return what a job returns, or raise what it raises.

    Parameters
    ----------
    job : callable
        In the main thread it runs in a thread of its own: the main one, where Ctrl-C arrives, would wait within it.
    stop : callable
        Has the job end soon; called where Ctrl-C arrives while it runs.
    """
    if threading.current_thread() is not threading.main_thread():
        return job()
    future: Future[T] = Future()
    threading.Thread(target=_perform, args=(future, job), name="query", daemon=True).start()
    try:
        return future.result()
    except KeyboardInterrupt:
        stop()
        future.exception()  # waits for its end; Ctrl-C again leaves it behind
        raise


def _perform(future: Future[T], job: Callable[[], T]) -> None:
    try:
        future.set_result(job())
    except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
        future.set_exception(error)
