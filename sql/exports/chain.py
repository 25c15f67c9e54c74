"""Export files in the order they were made: found, described by their metadata, and checked to be one chain."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from mismartera.sql.errors import ExportsError

from .files import METADATA, SUFFIXES, format_of, metadata_of


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One export on disk.

    Attributes
    ----------
    path : Path
        A file, or a folder of tables.
    format : str
        ``json``, ``json.gz``, ``json.zst``, ``parquet`` or ``arrow``.
    metadata : dict
        Its ``_metadata``.
    """

    path: Path
    format: str
    metadata: dict[str, Any]

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
    def nbytes(self) -> int:
        """Bytes on disk."""
        files = self.path.iterdir() if self.path.is_dir() else [self.path]
        return sum(file.stat().st_size for file in files)


def find_exports(paths: Iterable[str | Path]) -> list[ExportFile]:
    """Return the exports at `paths`: files, folders of tables, and folders that hold either.

    Raises
    ------
    ExportsError
        If there is none, or one is no export.
    """
    found: dict[Path, ExportFile] = {}
    given = [Path(path) for path in paths]
    for path in given:
        if not path.exists():
            raise ExportsError(f"{path}: does not exist", path=path, hint="name export files, or a folder of them")
        for child in _exports_at(path):
            found[child.resolve()] = ExportFile(child, format_of(child), metadata_of(child))
    if not found:
        listed = ", ".join(str(path) for path in given)
        raise ExportsError(f"no exports in {listed}: expected {', '.join(SUFFIXES)}", path=given[:1])
    return list(found.values())


def _exports_at(path: Path) -> list[Path]:
    if format_of(path):
        return [path]
    if path.is_dir():
        return sorted(child for child in path.iterdir() if format_of(child))
    within = (path.parent / METADATA).is_file()
    raise ExportsError(
        f"{path}: no export: expected {', '.join(SUFFIXES)}",
        path=path,
        hint=f"name the folder it is a part of: {path.parent}" if within else "name export files, or a folder of them",
    )


def chain_of(exports: Sequence[ExportFile], consumer: str | None = None, as_of: int | None = None) -> list[ExportFile]:
    """Return the exports one consumer applies in turn to hold the state of sequence `as_of`.

    Parameters
    ----------
    exports : sequence of ExportFile
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
    ExportsError
        If the consumer must be named, two exports have one sequence, or one that is needed is missing.
    """
    consumers = sorted({export.metadata["consumer"] for export in exports})
    if consumer is None and len(consumers) > 1:
        raise ExportsError(
            f"exports of {len(consumers)} consumers: {', '.join(consumers)}", hint="name one: --consumer"
        )
    wanted = consumer or consumers[0]
    own = sorted((export for export in exports if export.metadata["consumer"] == wanted), key=lambda one: one.sequence)
    if not own:
        raise ExportsError(f"no export of consumer {wanted!r}: there are those of {', '.join(consumers)}")
    for before, after in pairwise(own):
        if before.sequence == after.sequence:
            raise ExportsError(
                f"{before.path} and {after.path} both have sequence {after.sequence} of consumer {wanted!r}",
                path=after.path,
                hint="name the files of one run, or of one moment",
            )
    if as_of is not None:
        if as_of not in [export.sequence for export in own]:
            numbers = f"{own[0].sequence} to {own[-1].sequence}"
            raise ExportsError(f"there is no export with sequence {as_of}: those there are have {numbers}")
        own = [export for export in own if export.sequence <= as_of]
    start = max((place for place, export in enumerate(own) if export.is_complete), default=0)
    return _checked(own[start:])


def _checked(chain: list[ExportFile]) -> list[ExportFile]:
    held = None
    for export in chain:
        if not export.is_complete:
            base = export.metadata["base_sequence"]
            first = base is None and export.sequence == 1
            if not first and (held is None or base != held.sequence):
                raise _broken(export, base, held)
        held = export
    return chain


def _broken(export: ExportFile, base: int | None, held: ExportFile | None) -> ExportsError:
    reached = "nothing comes before it" if held is None else f"the one before it is {held.sequence}, {held.path}"
    return ExportsError(
        f"{export.path}: delta {export.sequence} applies to export {base}, which is missing: {reached}",
        path=export.path,
        hint="add the missing export, or open the chain up to the gap with --as-of",
    )
