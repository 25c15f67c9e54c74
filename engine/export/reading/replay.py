"""`replay`: a chain of exports, merged into the complete export of its last instant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from .chain import ExportFile, follows, in_order, of_one_run, require_total
from .check import require_sound
from .loading import load
from .merged import MergedSymbol, Piece

_BETWEEN = ("system_manager", "performance_metrics", "time_manager", "threads")


class Replay:
    """What a consumer holds after the exports it received so far.

    Attributes
    ----------
    metadata : mapping
        ``_metadata`` of the last export; empty before the first.

    Notes
    -----
    Rows are held as JSON text, about as many bytes as in the export; of the exports themselves one at a time is in
    memory.
    """

    def __init__(self) -> None:
        self.metadata: Mapping[str, Any] = {}
        self._sections: dict[str, Any] = {}
        self._config: Any = {}
        self._head: dict[str, Any] = {}
        self._symbols: dict[str, MergedSymbol] = {}

    def apply(self, export: Mapping[str, Any], path: object = "export") -> None:
        """Take the next export.

        Parameters
        ----------
        export : mapping
            As plain data.
        path : object
            What errors call it.

        Raises
        ------
        NotAnExportError
            If it breaks the contract.
        ChainError
            If it does not apply to what is held: another consumer's or run's, or one in between is missing.
        """
        require_sound(export, path)
        self.apply_sound(export, path)

    def apply_sound(self, export: Mapping[str, Any], path: object) -> None:
        """Take the next export, which was found to keep the contract; else as `apply`."""
        follows(self.metadata, export["_metadata"], path)
        of_one_run(self._sections.get("performance_metrics", {}), export["performance_metrics"], path)
        metadata, data = export["_metadata"], export["session_data"]
        complete = metadata["complete"]
        if complete:
            self._symbols = {}
        fresh: dict[str, MergedSymbol] = {}
        for name, parts in data["symbols"].items():
            held = fresh[name] = self._symbols.get(name) or MergedSymbol()
            if metadata["reset"]:
                held.reset()
            held.apply(parts, complete=complete)
            _prove(held, name, parts, path)
        self._symbols = fresh
        self._head = {key: value for key, value in data.items() if key != "symbols"}
        self._sections = {name: export[name] for name in _BETWEEN}
        self._config = export.get("session_config", self._config)
        self.metadata = metadata

    def pieces(self) -> Iterator[Piece]:
        """Yield the merged state as the JSON text of a complete export, in pieces."""
        metadata = dict(self.metadata) | {
            "mode": "complete", "delta": False, "complete": True, "diff_mode": False, "last_update": None,
            "changed_paths": [], "base_sequence": None, "reset": False,
        }  # fmt: skip
        yield b'{"_metadata":' + orjson.dumps(metadata)
        for name, section in (self._sections | {"session_config": self._config}).items():
            yield b',\n"%b":%b' % (name.encode(), orjson.dumps(section))
        yield b',\n"session_data":%b,"symbols":{' % orjson.dumps(self._head)[:-1]
        for place, name in enumerate(sorted(self._symbols)):
            yield b"%b%b:" % (b",\n" if place else b"\n", orjson.dumps(name))
            yield from self._symbols[name].pieces()
        yield b"}}}\n"

    def to_json(self) -> dict[str, Any]:
        """Return the merged state as plain data."""
        document: dict[str, Any] = orjson.loads(b"".join(self.pieces()))
        return document


def replay(paths: Iterable[str | Path]) -> Replay:
    """Merge a chain of exports, in any forms and given in any order.

    Parameters
    ----------
    paths : iterable of str or Path
        Of one consumer: a complete export, or the delta with sequence 1, and those after it without a hole.

    Raises
    ------
    NotAnExportError
        If one cannot be read or breaks the contract.
    ChainError
        If one is missing, there twice or foreign; told before any rows are read where the metadata tells it.
    """
    chain = in_order([ExportFile.at(Path(path)) for path in paths])
    state = Replay()
    for one in chain:
        loaded = load(one.path)
        loaded.require_sound()
        state.apply_sound(loaded.document(), one.path)
    return state


def _prove(held: MergedSymbol, name: str, parts: Mapping[str, Any], path: object) -> None:
    """Raise `ChainError` unless as many rows are held as the export says there are."""
    for kind, section in parts["session"]["data"].items():
        require_total(path, name, kind, held.rows(kind), section["total_count"])
