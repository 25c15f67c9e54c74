"""`DataQualityManager`: finds the gaps of a staged day, which is what its quality is computed from."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from typing import Any

from mismartera.engine.state.staging import StagedDay

from .worker import Worker

_LOG = logging.getLogger(__name__)


class DataQualityManager(Worker):
    """Scores staged days.

    Parameters
    ----------
    enabled : bool
        When off, a day passes as it is: its quality stays unknown.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        super().__init__("DataQualityManager")
        self._enabled = enabled
        self._scored_days = 0

    def score(self, staged: Future[StagedDay]) -> Future[StagedDay]:
        """Queue the scoring of a day that is being staged; the future returns the day with its gaps."""
        return self.submit(lambda: self.find(staged.result()))

    def find(self, day: StagedDay) -> StagedDay:
        """Find the gaps of a staged day's bars, and return the day with them."""
        if not self._enabled:
            return day
        self._scored_days += 1
        _LOG.debug("[SESSION_FLOW] PHASE_3.2: Finding the gaps of %s", day.session.date)
        return day.scored()

    def to_json(self, complete: bool = True, debug: bool = False) -> dict[str, Any]:
        """Return the thread's section of an export; debug adds days scored, `complete` changes nothing."""
        section = super().to_json(complete, debug)
        return section | ({"performance": {"scored_days": self._scored_days}} if debug else {})
