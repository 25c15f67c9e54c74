"""Analyses named on the command line: ``FILE.py:NAME`` with an optional ``@5m``."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from mismartera.schemas.errors import UnknownNameError


def load_analysis(text: str) -> tuple[Any, str | None]:
    """Return the function or class that `text` names, and how often it is to be called.

    Raises
    ------
    UnknownNameError
        If the file does not exist, or has nothing of that name; it lists what the file has.
    """
    place, _, every = text.partition("@")
    file, _, name = place.rpartition(":")
    path = Path(file)
    form = "expected FILE.py:NAME, such as my_study.py:Momentum or my_study.py:Momentum@5m"
    if not path.is_file():
        raise UnknownNameError("analysis file", file or text, [], hint=form)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UnknownNameError("analysis file", file, [], hint=form)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, name, None)
    if found is None:
        own = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UnknownNameError("analysis", name, sorted(own), hint=form)
    return found, every or None
