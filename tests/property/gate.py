"""`Gate`: a run that stands still between its steps until a test lets it go on."""

from __future__ import annotations

import queue
import threading

from mismartera.engine.system.system_manager import SystemManager

_PATIENCE_S = 60.0


class Gate:
    """Holds the coordinator in its hooks, so that a test decides, step by step, when the state changes.

    Attributes
    ----------
    point : str
        Where the run stands: ``"new"``, ``"activated"``, ``"stepped"``, ``"paused"``, ``"ended"``; ``"over"`` after its
        end.
    """

    def __init__(self, system: SystemManager) -> None:
        self.system = system
        self.point = "new"
        self._passing = 0
        self._open = False
        self._arrivals: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._permits = threading.Semaphore(0)
        system.hooks.activated.append(lambda: self._hold("activated"))
        system.hooks.stepped.append(lambda _: self._stepped())
        system.hooks.ended.append(lambda: self._hold("ended"))

    def advance(self, steps: int = 1) -> None:
        """Let the run take so many steps, or fewer if a session ends or begins before."""
        self._passing = steps - 1
        if self.point == "new":
            self.system.start()
        elif self.point == "paused":
            self.system.resume()
        elif self.point != "over":
            self._permits.release()
        if self.point != "over":
            self.point = self._next_point()

    def join(self, symbol: str) -> None:
        """Have a symbol join: at once where the session has steps ahead, else with the first step of the next one.

        A run that ends before has it join no more.
        """
        if self.point in ("new", "paused"):
            self.system.add_symbol(symbol)
        elif self._streams_on():
            self.system.pause()
            self._permits.release()
            self.system.add_symbol(symbol)
            self.point = "paused"
        else:
            coordinator = self.system._coordinator
            assert coordinator is not None
            joining = coordinator.join_symbol(symbol)
            while not joining.done() and self.point != "over":
                self.advance()
            assert joining.cancelled() == (self.point == "over")

    def open(self) -> None:
        """Let the run go, and hold it nowhere any more."""
        self._open = True
        self._permits.release()

    def _streams_on(self) -> bool:
        waiting = self.system.session_data.queue
        return self.point != "ended" and waiting is not None and self.system.snapshot.now_us < waiting.steps[-1]

    def _stepped(self) -> None:
        if self._passing > 0:
            self._passing -= 1
        else:
            self._hold("stepped")

    def _hold(self, point: str) -> None:
        if not self._open:
            self._arrivals.put(point)
            self._permits.acquire()

    def _next_point(self) -> str:
        coordinator = self.system._coordinator
        assert coordinator is not None
        for _ in range(int(_PATIENCE_S / 0.01)):
            try:
                return self._arrivals.get(timeout=0.01)
            except queue.Empty:
                if not coordinator.is_alive() and self._arrivals.empty():
                    self.system.wait()  # raises what ended the run
                    return "over"
        raise TimeoutError("the run neither goes on nor ends")
