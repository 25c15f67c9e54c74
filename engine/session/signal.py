"""`Signal`: wakes readers who wait for the next snapshot."""

from __future__ import annotations

import threading
from collections.abc import Callable

from mismartera.engine.state.snapshot import Snapshot


class Signal:
    """Lets any number of threads wait for news, each on its own thread.

    Parameters
    ----------
    latest : callable
        Returns the snapshot last published.
    differs : callable
        Returns whether `latest` would return another snapshot than the one given. It takes no lock.

    Notes
    -----
    While nobody waits, the publisher looks at `awaited` and does nothing more: no lock, no call into the operating
    system. A reader slower than the stream skips snapshots and gets the latest; it never holds the publisher up.

    Attributes
    ----------
    awaited : int
        How many threads wait. Each counts itself before it looks at the snapshot, so a publisher that looks here after
        each assignment misses none.
    """

    __slots__ = ("_closed", "_differs", "_latest", "_news", "awaited")

    def __init__(self, latest: Callable[[], Snapshot], differs: Callable[[Snapshot], bool]) -> None:
        self._latest = latest
        self._differs = differs
        self._news = threading.Condition()
        self.awaited = 0
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the run has ended: nobody waits any longer."""
        return self._closed

    def send(self) -> None:
        """Wake those who wait."""
        with self._news:
            self._news.notify_all()

    def close(self) -> None:
        """Let everyone go who waits, and nobody wait again. Further calls do nothing."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def wait(self, after: Snapshot, timeout_s: float | None = None) -> Snapshot:
        """Wait until a snapshot other than `after` is published.

        Parameters
        ----------
        after : Snapshot
            The one the reader has.
        timeout_s : float, optional
            By default there is no limit.

        Returns
        -------
        Snapshot
            The latest; `after` itself if the time is up, or if the run has ended and it was the last.
        """
        with self._news:
            self.awaited += 1
            try:
                self._news.wait_for(lambda: self._closed or self._differs(after), timeout_s)
            finally:
                self.awaited -= 1
        return self._latest()
