"""Analyses named on the command line: ``FILE.py:NAME`` with an optional ``@5m``."""

from __future__ import annotations

import difflib
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mismartera.schemas.errors import MismarteraError, UnknownNameError

if TYPE_CHECKING:
    from mismartera.engine.system.system_manager import SystemManager

_FORM = "expected FILE.py:NAME, such as my_study.py:Momentum or my_study.py:Momentum@5m"
_VERBOSE = "--verbose shows the traceback"


class AnalysisError(MismarteraError, RuntimeError):
    """A user's analysis that cannot be loaded, or that failed; its cause is the exception, with its own traceback."""


def add_analyses(system: SystemManager, texts: Sequence[str]) -> None:
    """Register what `texts` name with a system that was not started.

    Raises
    ------
    AnalysisError
        If a file does not exist or cannot be imported, or its class cannot be made.
    UnknownNameError
        If a file has nothing of the name; the message lists what it has.
    """
    for text in texts:
        path, name, every = _parts(text)
        found = _found(path, name)
        try:
            system.add_analysis(found, every=every)
        except MismarteraError:
            raise
        except Exception as error:
            raise AnalysisError(
                f"analysis {name} of {path} cannot be made: {_told(error, [text])}", hint=_VERBOSE
            ) from error


def failure(system: SystemManager, error: Exception, texts: Sequence[str]) -> AnalysisError | None:
    """Return `error`, which ended a run, as that of the analysis that raised it; None if none did.

    For systems that an exception in an analysis stops: there one that has an error was the last to be called.
    """
    failed = [name for name, figures in system.analysis_engine.get_statistics().items() if figures["errors"]]
    if not failed:
        return None
    return AnalysisError(
        f"analysis {failed[0]} failed at {system.time_manager.get_current_time().isoformat()}: {_told(error, texts)}",
        hint=f"{_VERBOSE}; --on-error count counts the errors of analyses and goes on",
    )


def _parts(text: str) -> tuple[Path, str, str | None]:
    file, _, rest = text.rpartition(":")
    name, _, every = rest.partition("@")
    if not file or not name:
        raise click.BadParameter(f"{text!r} names no analysis: {_FORM}", param_hint="'--analysis'")
    return Path(file), name, every or None


def _found(path: Path, name: str) -> Any:
    module = _imported(path)
    found = getattr(module, name, None)
    if found is None:
        own = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UnknownNameError("analysis", name, sorted(own), hint=f"those are what {path} has; {_FORM}")
    return found


def _imported(path: Path) -> Any:
    if not path.is_file():
        close = difflib.get_close_matches(path.name, [other.name for other in path.parent.glob("*.py")], n=1)
        meant = f"; did you mean {path.with_name(close[0])}?" if close else ""
        raise AnalysisError(f"analysis file {path} does not exist{meant}", hint=_FORM)
    name = f"{path.stem} of {path.resolve()}"  # the stem alone may be the name of a real module
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise AnalysisError(f"analysis file {path} is not Python: its name does not end in .py", hint=_FORM)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look their own module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        told = _told(error, [f"{path}:"])
        raise AnalysisError(f"analysis file {path} cannot be imported: {told}", hint=_VERBOSE) from error
    return module


def _told(error: Exception, texts: Sequence[str]) -> str:
    """Return an exception on one line, with the innermost line of the analyses' own files it passed."""
    files = {Path(text.rpartition(":")[0]).resolve() for text in texts}
    passed = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).resolve() in files]
    where = f" ({Path(passed[-1].filename).name}, line {passed[-1].lineno})" if passed else ""
    return " ".join(f"{type(error).__name__}: {error}{where}".split())
