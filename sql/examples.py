"""Ready queries: `.sql` files whose first line says what they answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

from mismartera.schemas.errors import UnknownNameError


@dataclass(frozen=True, slots=True)
class Example:
    """A ready query: its name, what it answers, and its SQL."""

    name: str
    description: str
    text: str


@cache
def examples() -> dict[str, Example]:
    """Return every ready query by name, in alphabetical order."""
    found = {}
    for file in sorted((resources.files(__package__) / "examples").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            first, _, text = file.read_text(encoding="utf-8").partition("\n")
            name = file.name.removesuffix(".sql")
            found[name] = Example(name, first.removeprefix("--").strip(), text.strip())
    return found


def example(name: str) -> Example:
    """Return a ready query; raises `UnknownNameError`, which lists them, for a name that is none."""
    if name not in examples():
        known = [f"@{one}" for one in examples()]
        raise UnknownNameError("ready query", f"@{name}", known, hint="'mismartera sql --examples' shows them")
    return examples()[name]
