"""Running a query so that Ctrl-C stops it at once."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")
_AGAIN_S = 0.01


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
    outcome: Future[T] = Future()
    ended = threading.Event()
    thread = threading.Thread(target=_perform, args=(job, outcome, ended), name="query", daemon=True)
    try:
        thread.start()
        ended.wait()
    except KeyboardInterrupt:
        while not outcome.cancel() and not ended.wait(_AGAIN_S):  # Ctrl-C again leaves it behind
            stop()  # more than once: it may not have begun yet what is to be stopped
        raise
    return outcome.result()


def _perform(job: Callable[[], T], outcome: Future[T], ended: threading.Event) -> None:
    try:
        if outcome.set_running_or_notify_cancel():
            outcome.set_result(job())
    except BaseException as error:  # noqa: BLE001 - raised where the outcome is asked for
        traceback.clear_frames(error.__traceback__)  # what the job held is let go before it counts as ended
        outcome.set_exception(error)
    finally:
        ended.set()
