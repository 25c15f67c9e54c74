"""`EngineThread` and `Worker`: threads that start once, answer for themselves, and end cleanly."""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
_JOIN_S = 30.0


class EngineThread(threading.Thread, ABC):
    """A named daemon thread of a session."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._running = False
        self._ended = threading.Event()

    @property
    def running(self) -> bool:
        """Whether the thread does its work now."""
        return self._running and self.is_alive()

    def run(self) -> None:
        """Do the thread's work."""
        try:
            self.work()
        finally:
            self._ended.set()

    @abstractmethod
    def work(self) -> None:
        """Do what the thread is for; returning ends it."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for the thread to end, as `threading.Thread.join` does.

        Notes
        -----
        In some versions of Python, 3.11 among them, Ctrl-C while a thread is joined makes `is_alive` say that it ended
        while it goes on (python/cpython#90882). Waiting for an event has no such effect.
        """
        if not self.is_alive() or self._ended.wait(timeout):
            super().join(timeout)

    def to_json(self, complete: bool = True, debug: bool = False) -> dict[str, Any]:
        """Return the thread's section of an export.

        Parameters
        ----------
        complete : bool
            Taken as every section's `to_json` does; a thread's is small and the same in both modes.
        debug : bool
            Adds what the thread knows of its performance and of what waits for it.
        """
        is_alive = self.is_alive()
        info = {"name": self.name, "is_alive": is_alive, "daemon": self.daemon}
        return {"thread_info": info, "_running": self._running and is_alive}


class Worker(EngineThread):
    """A thread that works off jobs in the order they are given."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._inbox: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Queue a job and return its future; after `close` the future is cancelled at once."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                future.cancel()
            else:
                self._inbox.put((future, job))
        return future

    def work(self) -> None:
        """Work until closed; an exception belongs to its job's future."""
        self._running = True
        while (item := self._inbox.get()) is not None:
            perform(*item)
        self._running = False

    def close(self) -> None:
        """Drop the jobs that wait, let the one at work finish, and join. Further calls do nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            while not self._inbox.empty():
                item = self._inbox.get()
                if item is not None:
                    item[0].cancel()
            self._inbox.put(None)
        if self.is_alive() and threading.current_thread() is not self:
            self.join(_JOIN_S)

    def depth(self) -> int:
        """Return how many jobs wait."""
        return self._inbox.qsize()

    def to_json(self, complete: bool = True, debug: bool = False) -> dict[str, Any]:
        """Return the thread's section of an export; debug adds the depth of its queue, `complete` changes nothing."""
        section = super().to_json(complete, debug)
        return section | ({"queue_depth": self.depth()} if debug else {})


def perform(future: Future[T], job: Callable[[], T]) -> None:
    """Do a job and put what it returns or raises into its future; nothing where the future was cancelled."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(job())
    except BaseException as error:  # noqa: BLE001 - the future carries it to whoever waits for the result
        future.set_exception(error)
