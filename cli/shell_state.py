"""`ShellState`: what the lines of one shell share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mismartera.schemas.errors import StateError

from .main import Globals

if TYPE_CHECKING:
    from mismartera.engine.system.system_manager import SystemManager


@dataclass(slots=True)
class ShellState(Globals):
    """What the lines of one shell share; ``ctx.obj`` of their commands.

    Attributes
    ----------
    config : Path or None
        Configuration of sessions started without naming one.
    catalog : Path
    system : SystemManager or None
        The session started last; it stays readable after its end.
    leaving : bool
        Whether the shell ends after this line.
    """

    config: Path | None = None
    catalog: Path = Path("data/catalog")
    system: SystemManager | None = None
    leaving: bool = False

    def require(self) -> SystemManager:
        """Return the session; raises `StateError` if none was started."""
        if self.system is None:
            raise StateError("there is no session yet", hint="system start CONFIG starts one")
        return self.system

    @property
    def streaming(self) -> bool:
        """Whether a session runs or is paused."""
        return self.system is not None and self.system.state.value in ("RUNNING", "PAUSED")

    def close(self) -> None:
        """Stop the session, and its threads with it."""
        if self.system is not None:
            self.system.stop()


pass_state = click.make_pass_decorator(ShellState)
