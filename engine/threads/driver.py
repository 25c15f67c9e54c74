"""`Driver`: what moves the clock of a run; `StagedDriver` moves it through the steps of staged days."""

from __future__ import annotations

import threading
from bisect import bisect_right
from typing import Protocol
from weakref import ref

from mismartera.engine.session.queue import SessionQueue
from mismartera.engine.session.session_data import SessionData
from mismartera.engine.time.clock import Pacer


class Driver(Protocol):
    """Says which instant comes next, and returns when it has come. The coordinator asks it, on its own thread.

    Attributes
    ----------
    until_us : int or None
        Where the run stops before the end of its window, UTC microseconds.
    """

    until_us: int | None

    def resume(self, at_us: int) -> None:
        """Continue from `at_us`: called when a session becomes active and after a pause, so neither is made up for."""
        ...

    def next_us(self, after_us: int, wake: threading.Event) -> int | None:
        """Return the first instant after `after_us`, once it has come.

        Parameters
        ----------
        after_us : int
            UTC microseconds.
        wake : threading.Event
            Set when the run is asked for something between two instants, such as a pause. The driver then stops
            waiting and returns None; it never clears the event. A feed may set it to have itself asked again.

        Returns
        -------
        int or None
            None while `wake` is set, or where no instant is left: the session is over, or `until_us` comes first.
        """
        ...

    def stops_in_session(self) -> bool:
        """Return whether the session goes on where the run stops; asked when no instant is left."""
        ...


class StagedDriver:
    """Drives a backtest: the steps of each staged day, at a multiple of wall time or as fast as they can be taken.

    Parameters
    ----------
    data : SessionData
        Its queue holds the steps; after a symbol joined, those of the new queue count.
    speed_multiplier : float
        Market seconds per wall second; 0 never waits.
    until_us : int, optional
        See `Driver`.
    """

    def __init__(self, data: SessionData, speed_multiplier: float = 0.0, until_us: int | None = None) -> None:
        self._data = data
        self._pacer = Pacer(speed_multiplier, 0) if speed_multiplier > 0 else None
        self.until_us = until_us
        self._queue: ref[SessionQueue] | None = None  # weak: a day that has ended is not kept in memory by its driver
        self._steps: list[int] = []
        self._is_cut = False

    def resume(self, at_us: int) -> None:
        """Count the pace from `at_us` and the present moment."""
        if self._pacer is not None:
            self._pacer.rebase(at_us)

    def next_us(self, after_us: int, wake: threading.Event) -> int | None:
        """Return the next step of the day, once its time has come; see `Driver.next_us`."""
        queue = self._data.queue
        if queue is not None and (self._queue is None or self._queue() is not queue):
            self._take_steps(queue)
        at = bisect_right(self._steps, after_us)
        if at == len(self._steps):
            return None
        us = self._steps[at]
        if self._pacer is not None:
            self._pacer.wait(us, wake)
            if wake.is_set():
                return None
        return us

    def stops_in_session(self) -> bool:
        """Return whether a step of the day lies beyond `until_us`."""
        return self._is_cut

    def _take_steps(self, queue: SessionQueue) -> None:
        """Take over the steps of a day that was staged, or of one that a symbol joined: those up to `until_us`."""
        self._queue = ref(queue)
        steps = queue.steps
        self._steps = steps if self.until_us is None else steps[: bisect_right(steps, self.until_us)]
        self._is_cut = len(self._steps) < len(steps)
