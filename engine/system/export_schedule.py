"""`ExportSchedule`: exports of a run at fixed market times, as files."""

from __future__ import annotations

from pathlib import Path

from mismartera.engine.export.consumers.consumers import DEFAULT
from mismartera.engine.export.formats.registry import checked_format
from mismartera.schemas.errors import ExportError
from mismartera.schemas.interval import Interval

from .receipt import ExportReceipt
from .system_manager import SystemManager


class ExportSchedule:
    """Writes a complete export at the first activation, a delta whenever `every` has passed, and both at the end.

    Parameters
    ----------
    system : SystemManager
        One that was not started.
    every : Interval, int or str
        Market time between deltas, counted from each session's open. Where the clock does not stop at a multiple, the
        delta is taken at the first step after it.
    folder : str or Path
        Where the files go; made if it is absent.
    form : str
        One of `formats.FORMATS`.
    consumer : str
        Whose exports they are; registered if it is not yet.

    Attributes
    ----------
    receipts : list of ExportReceipt
        What was written, in the order of the chain.

    Raises
    ------
    IntervalError
        If `every` is no interval.
    UnknownNameError
        If the form does not exist.
    ExportError
        If the folder cannot be made.

    Notes
    -----
    Exports are stages of the run (`Stages`): they are taken on the coordinator's thread while the clock stands at the
    very instant, and the run waits for them. One that fails ends the run with its error.
    """

    def __init__(
        self,
        system: SystemManager,
        every: Interval | int | str,
        folder: str | Path,
        *,
        form: str = "json",
        consumer: str = DEFAULT,
    ) -> None:
        self._system = system
        self._every_us = Interval(every).us
        self._form = checked_format(form)
        self._folder = Path(folder)
        self._consumer = consumer
        self._passed = 0
        self.receipts: list[ExportReceipt] = []
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ExportError(
                f"{folder}: exports cannot be written there: {error.strerror or error}", hint="name another folder"
            ) from error
        if consumer != DEFAULT:
            system.register_consumer(consumer)
        system.hooks.activated.append(self._activated)
        system.hooks.stepped.append(self._stepped)

    @property
    def paths(self) -> list[Path]:
        """Where the exports are, in the order of the chain."""
        return [receipt.path for receipt in self.receipts]

    def finish(self) -> None:
        """Write the last delta and the final complete export; call it when the run has ended."""
        self._export(complete=False)
        self._export(complete=True)

    def _activated(self) -> None:
        self._passed = self._multiples(self._system.snapshot.now_us)
        if not self.receipts:
            self._export(complete=True)

    def _stepped(self, us: int) -> None:
        passed = self._multiples(us)
        if passed > self._passed:
            self._passed = passed
            self._export(complete=False)

    def _multiples(self, us: int) -> int:
        """Return how often `every` has passed since the session's open; negative before it."""
        session = self._system.snapshot.session
        assert session is not None, "stages are called within sessions"
        return (us - session.open_us) // self._every_us

    def _export(self, *, complete: bool) -> None:
        receipt = self._system.export_status(
            complete=complete, consumer=self._consumer, folder=self._folder, form=self._form
        )
        self.receipts.append(receipt)
