"""Exports in the order they were made: found on disk, and checked to be one chain of one run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from mismartera.engine.export.formats.registry import FOLDERS, FORMATS, format_at, suffix_format
from mismartera.engine.export.formats.table_folder import METADATA
from mismartera.schemas.errors import ChainError, ConsumerError, NotAnExportError, UnknownNameError

from .loading import load, read_metadata

_MEMBERS = ("sequence", "base_sequence", "consumer", "complete", "last_update", "generated_at")


@dataclass(frozen=True, slots=True)
class ExportFile:
    """An export on disk, known by its metadata.

    Attributes
    ----------
    path : Path
        A file, or a folder of tables.
    metadata : mapping
        Its ``_metadata``, with what its place in a chain depends on.
    """

    path: Path
    metadata: Mapping[str, Any]

    @classmethod
    def at(cls, path: Path) -> ExportFile:
        """Return what is at a path; raises `NotAnExportError` if it is damaged so that its place is not known."""
        try:
            metadata = read_metadata(path)
        except NotAnExportError:
            load(path)  # which names the damage, if it is that
            raise
        problem = _misplaced(metadata)
        if problem:
            load(path).require_sound()
            raise NotAnExportError(path, problem)
        return cls(path, metadata)

    @property
    def consumer(self) -> str:
        """Who took it."""
        return str(self.metadata["consumer"])

    @property
    def sequence(self) -> int:
        """Its number for its consumer."""
        return int(self.metadata["sequence"])

    @property
    def is_complete(self) -> bool:
        """Whether it carries everything."""
        return bool(self.metadata["complete"])

    @property
    def generated_at(self) -> dt.datetime:
        """The engine's clock when it was taken."""
        return dt.datetime.fromisoformat(self.metadata["generated_at"])

    @property
    def format(self) -> str:
        """Name of its format, by its content."""
        return format_at(self.path).name

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        files = self.path.iterdir() if self.path.is_dir() else [self.path]
        return sum(file.stat().st_size for file in files)


def find_exports(paths: Iterable[str | Path]) -> list[ExportFile]:
    """Return the exports at `paths`: files, folders of tables, and folders that hold either.

    Raises
    ------
    NotAnExportError
        If there is none, or something that was named is not an export.
    """
    found: dict[Path, ExportFile] = {}
    given = [Path(path) for path in paths]
    for path in given:
        for child in _exports_at(path):
            found[child.resolve()] = ExportFile.at(child)
    if not found:
        listed = ", ".join(map(str, given))
        raise NotAnExportError(listed, f"expected {_suffixes()} in it, found none of them")
    return list(found.values())


def _exports_at(path: Path) -> list[Path]:
    if not path.is_dir() or (path / METADATA).is_file():
        if path.is_file() and (path.parent / METADATA).is_file() and path.name != METADATA:
            hint = f"name the folder it is a part of: {path.parent}"
            raise NotAnExportError(path, "it is one table of an export", hint=hint)
        return [path]
    if suffix_format(path) in FOLDERS:
        return [path]
    return sorted(child for child in path.iterdir() if child.name[0] != "." and suffix_format(child))


def _suffixes() -> str:
    return ", ".join(f".{name}" for name in FORMATS)


def _misplaced(metadata: Mapping[str, Any]) -> str | None:
    """Return why an export's place in a chain is not known; None if it is."""
    absent = [name for name in _MEMBERS if name not in metadata]
    if absent:
        return f"_metadata.{absent[0]}: missing"
    if type(metadata["sequence"]) is not int or not isinstance(metadata["consumer"], str):
        name = "consumer" if type(metadata["sequence"]) is int else "sequence"
        return f"_metadata.{name}: expected {'a text' if name == 'consumer' else '1, 2, 3 …'}, got {metadata[name]!r}"
    try:
        dt.datetime.fromisoformat(metadata["generated_at"])
    except (TypeError, ValueError):
        return f"_metadata.generated_at: expected an instant, got {metadata['generated_at']!r}"
    return None


def chain_of(exports: Sequence[ExportFile], consumer: str | None = None, as_of: int | None = None) -> list[ExportFile]:
    """Return the exports that one consumer applies in turn to hold the state of sequence `as_of`.

    Parameters
    ----------
    exports : sequence of ExportFile
        In any order, of any consumers.
    consumer : str, optional
        May be left out where all are of one consumer.
    as_of : int, optional
        By default the last.

    Returns
    -------
    list of ExportFile
        A complete export or a first delta, then the deltas after it.

    Raises
    ------
    ConsumerError
        If the consumer must be named.
    UnknownNameError
        If there is no export of the consumer, or none with that sequence.
    ChainError
        As `in_order`.
    """
    consumers = sorted({export.consumer for export in exports})
    if consumer is None and len(consumers) > 1:
        raise ConsumerError(consumers)
    wanted = consumer or consumers[0]
    own = sorted((one for one in exports if one.consumer == wanted), key=lambda one: one.sequence)
    if not own:
        raise UnknownNameError("consumer", wanted, consumers)
    if as_of is not None:
        sequences = [one.sequence for one in own]
        if as_of not in sequences:
            raise UnknownNameError("sequence", as_of, list(map(str, sequences)))
        own = [one for one in own if one.sequence <= as_of]
    twice = _first_twice(own)
    start = 0 if twice else max((place for place, one in enumerate(own) if one.is_complete), default=0)
    return in_order(own[start:])


def in_order(exports: Iterable[ExportFile]) -> list[ExportFile]:
    """Return exports by sequence, after their metadata was found to make a chain.

    Raises
    ------
    ChainError
        If one is missing, there twice or foreign.
    NotAnExportError
        If that is because one is damaged.
    """
    ordered = sorted(exports, key=lambda one: one.sequence)
    if not ordered:
        raise ChainError("replay", "no export was given", hint="name the first export and the deltas after it")
    try:
        twice = _first_twice(ordered)
        if twice:
            first, second = twice
            problem = f"sequence {second.sequence} is there twice; the other one is {first.path}"
            raise ChainError(second.path, problem, hint="name the exports of one run, or of one moment")
        held: Mapping[str, Any] = {}
        for export in ordered:
            follows(held, export.metadata, export.path)
            held = export.metadata
    except ChainError:
        for export in ordered:
            load(export.path).require_sound()  # a broken chain may be what a damaged export looks like
        raise
    return ordered


def _first_twice(ordered: Sequence[ExportFile]) -> tuple[ExportFile, ExportFile] | None:
    same = ((one, other) for one, other in pairwise(ordered) if one.sequence == other.sequence)
    return next(((one, other) for one, other in same if one.consumer == other.consumer), None)


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


def of_one_run(held: Mapping[str, Any], metrics: Mapping[str, Any], path: object) -> None:
    """Raise `ChainError` where two exports name their runs in ``performance_metrics`` and these are not the same."""
    run, other = (one.get("run_id") for one in (held, metrics))
    if run is not None and other is not None and run != other:
        raise ChainError(
            path,
            f"it is foreign, of run {other}: what comes before it is of run {run}",
            hint="keep the exports of each run in a folder of its own",
        )


def require_total(path: object, symbol: str, kind: str, rows: int, total: int) -> None:
    """Raise `ChainError` unless as many rows of a section are held after an export as it says there are."""
    if rows != total:
        raise ChainError(
            path,
            f"{symbol} {kind} has {rows} rows after this export, which says {total}: an export before it is missing "
            "or foreign",
        )
