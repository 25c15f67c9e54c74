"""`replay`: a chain of exports, merged into the complete export of its last instant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from mismartera.schemas.errors import ChainError, NotAnExportError

from .check import require_sound
from .loading import load_export, read_metadata
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
        follows(self.metadata, export["_metadata"], path)
        _of_one_run(self._sections.get("performance_metrics", {}), export["performance_metrics"], path)
        self._take(export, path)

    def _take(self, export: Mapping[str, Any], path: object) -> None:
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
    chain = _in_order([Path(path) for path in paths])
    state = Replay()
    for path in chain:
        state.apply(load_export(path), path)
    return state


def follows(held: Mapping[str, Any], metadata: Mapping[str, Any], path: object) -> None:
    """Raise `ChainError` unless an export applies to what was held when the one with metadata `held` was applied."""
    sequence, base = metadata["sequence"], metadata["base_sequence"]
    if held and metadata["consumer"] != held["consumer"]:
        raise ChainError(
            path,
            f"an export of consumer {metadata['consumer']!r}, foreign to this chain of {held['consumer']!r}",
            hint="replay the exports of one consumer",
        )
    if metadata["complete"]:
        return
    if not held:
        if sequence != 1:
            raise ChainError(
                path,
                f"the chain begins with delta {sequence}: expected a complete export or delta 1",
                expected=1,
                found=sequence,
                hint=f"add the exports before it: it applies to number {base}",
            )
        return
    expected = held["sequence"] + 1
    if base != held["sequence"]:
        gone = "is missing" if sequence == expected + 1 else f"to {sequence - 1} are missing"
        text = f"sequence {expected} {gone}" if sequence > expected else "it is not of this chain"
        raise ChainError(
            path,
            f"expected sequence {expected}, found {sequence}, which applies to {base}: {text}",
            expected=expected,
            found=sequence,
            hint="add what is missing, or begin with the next complete export",
        )
    if metadata["last_update"] != held["generated_at"]:
        raise ChainError(
            path,
            f"delta {sequence} follows an export of {metadata['last_update']}, and number {base} of this chain is of "
            f"{held['generated_at']}: it is foreign, of another run",
            expected=expected,
            found=sequence,
        )


def _of_one_run(held: Mapping[str, Any], told: Mapping[str, Any], path: object) -> None:
    """Raise `ChainError` where two exports tell their runs and these are not the same."""
    run, other = (metrics.get("run_id") for metrics in (held, told))
    if run is not None and other is not None and run != other:
        raise ChainError(
            path,
            f"it is foreign, of run {other}: what comes before it is of run {run}",
            hint="keep the exports of each run in a folder of its own",
        )


def _in_order(paths: Sequence[Path]) -> list[Path]:
    """Return the exports by sequence, after their metadata was found to make a chain."""
    heads = [(_placed(path), path) for path in paths]
    if not heads:
        raise ChainError("replay", "no export was given", hint="name the first export and the deltas after it")
    heads.sort(key=lambda head: head[0]["sequence"])
    for (one, first), (other, second) in pairwise(heads):
        if one["sequence"] == other["sequence"] and one.get("consumer") == other.get("consumer"):
            raise ChainError(second, f"sequence {other['sequence']} is there twice; the other one is {first}")
    held: Mapping[str, Any] = {}
    for metadata, path in heads:
        follows(held, metadata, path)
        held = metadata
    return [path for _, path in heads]


def _placed(path: Path) -> dict[str, Any]:
    """Return an export's metadata if it has all that its place in a chain depends on."""
    metadata = read_metadata(path)
    needed = ("sequence", "base_sequence", "consumer", "complete", "last_update", "generated_at")
    absent = [name for name in needed if name not in metadata]
    if absent:
        raise NotAnExportError(path, f"_metadata.{absent[0]} is missing")
    if type(metadata["sequence"]) is not int:
        raise NotAnExportError(path, f"_metadata.sequence: expected 1, 2, 3 …, and it is {metadata['sequence']!r}")
    return metadata


def _prove(held: MergedSymbol, name: str, parts: Mapping[str, Any], path: object) -> None:
    """Raise `ChainError` unless as many rows are held as the export says there are."""
    for kind, section in parts["session"]["data"].items():
        rows = held.rows(kind)
        if rows != section["total_count"]:
            raise ChainError(
                path,
                f"{name} {kind} has {rows} rows after this export, which says {section['total_count']}: an export "
                "before it is missing or foreign",
            )
