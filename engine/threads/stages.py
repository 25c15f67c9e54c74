"""`Stages`: what a run does, and waits for, at exact instants of its sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Stages:
    """Stages that callers add to a run, such as an export at a fixed market time.

    Each is called on the coordinator's thread while the clock stands at its instant, in the order of the list; the run
    waits for it, and an exception ends the run. Readers that only want to know that something was published wait on
    `SessionData.published` instead, and hold nothing up.

    Attributes
    ----------
    activated : list of callable
        Called when a session becomes active, before its first step.
    stepped : list of callable
        Called after each step, when the snapshot is published and the analyses are done; with the instant.
    ended : list of callable
        Called when a session has ended.
    """

    activated: list[Callable[[], None]] = field(default_factory=list)
    stepped: list[Callable[[int], None]] = field(default_factory=list)
    ended: list[Callable[[], None]] = field(default_factory=list)
