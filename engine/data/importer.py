"""`import_path`, the one way into the catalog: rows are read, sorted out and upserted, bad ones kept aside."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow as pa

from mismartera.schemas.errors import ImportDataError

from .catalog import Catalog
from .options import ImportOptions
from .partition import EVENT_KINDS, conform
from .progress import Progress, silent
from .quarantine import Quarantine
from .sources import SOURCES, source_of
from .stamps import require_date_format
from .upsert import UpsertSummary
from .validate import validate

CHUNK_ROWS = 1_000_000
"""Rows validated and written at once: what bounds the memory of an import."""


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What an import did; ``read == imported + sum(quarantined.values()) + duplicates``.

    Attributes
    ----------
    files, read : int
        Files and rows read.
    added, replaced, unchanged : int
        Rows whose key was new to the catalog; was there with other values; was there with the same.
    quarantined : dict of str to int
        Rows that could not be taken, by reason.
    duplicates : int
        Rows dropped because the source holds another exactly alike.
    partitions : frozenset of Path
        Folders of the partitions rewritten.
    quarantine_path : Path or None
        File of the rows that could not be taken.
    without_rows : tuple of Path
        Files that hold none, such as a header alone.
    """

    files: int = 0
    read: int = 0
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    partitions: frozenset[Path] = field(default_factory=frozenset)
    quarantine_path: Path | None = None
    without_rows: tuple[Path, ...] = ()

    @property
    def imported(self) -> int:
        """Rows of the source the catalog now holds."""
        return self.added + self.replaced + self.unchanged


def import_path(
    catalog: Catalog, path: str | Path, options: ImportOptions, progress: Progress = silent
) -> ImportSummary:
    """Import a file, or all fitting files of a folder and those below.

    Parameters
    ----------
    catalog : Catalog
        Made if absent.
    path : str or Path
    options : ImportOptions
    progress : callable
        Called with files done, files in all and the name of the present one.

    Raises
    ------
    ImportDataError
        If the path or its columns cannot be read as described, or there is no row at all.
    CatalogError
        If the catalog cannot be written.

    Notes
    -----
    Idempotent: the same import once more changes nothing, not even a file. Rows are taken in chunks of about 1 M,
    each atomic (see `upsert`); so an error in a later file leaves the earlier ones imported. Of ticks and quotes a
    whole file makes a chunk at least, so that trades that are alike are counted within it. Rows of several files
    that are alike count once.
    """
    source = Path(path)
    files = source_files(source, options)
    run = _Run(catalog, options)
    without_rows = []
    with Quarantine(catalog.root, source.name, options.stored_kind) as quarantine:
        for done, file in enumerate(files):
            progress(done, len(files), file.name)
            before = run.read
            for frame in source_of(options.format).read(file, options):
                run.add(frame)
                if run.is_full and options.kind == "bars":
                    run.flush(quarantine)
                    progress(done, len(files), f"{file.name}: {run.read:,} rows")
            if run.read == before:
                without_rows.append(file)
            if run.is_full:
                run.flush(quarantine)
        run.flush(quarantine)
        progress(len(files), len(files), "")
    if not run.read:
        where = "" if files == [source] else f" in {len(files)} file{'s' if len(files) > 1 else ''}"
        raise ImportDataError(f"{source}: no rows{where}, so nothing was imported", path=source)
    written = run.written
    return ImportSummary(
        files=len(files),
        read=run.read,
        added=written.added,
        replaced=written.replaced,
        unchanged=written.unchanged,
        quarantined=dict(quarantine.reasons.most_common()),
        duplicates=run.duplicates,
        partitions=written.partitions,
        quarantine_path=quarantine.path,
        without_rows=tuple(without_rows),
    )


def source_files(source: Path, options: ImportOptions) -> list[Path]:
    """Return the files to import; raises `ImportDataError` if there are none or the options do not fit together."""
    _check(options)
    if not source.exists():
        raise ImportDataError(f"{source}: no such file or folder", path=source)
    reader = source_of(options.format)
    files = [source]
    if source.is_dir():
        files = sorted(
            path
            for path in source.rglob("*")
            if path.suffix.lower() in reader.SUFFIXES
            and path.is_file()
            and not any(part.startswith((".", "_")) for part in path.relative_to(source).parts)
        )
        if not files:
            raise ImportDataError(
                f"{source}: the folder holds no {options.format} file ({', '.join(reader.SUFFIXES)})",
                path=source,
                hint=f"check --format: {', '.join(SOURCES)}",
            )
    return reader.select(files, options)


def _check(options: ImportOptions) -> None:
    for name, value, allowed in (
        ("format", options.format, SOURCES),
        ("kind", options.kind, ("bars", *EVENT_KINDS)),
        ("stamp", options.stamp, ("start", "end")),
    ):
        if value not in allowed:
            raise ImportDataError(f"invalid {name}: expected {', '.join(allowed)}, got {value!r}")
    if options.stamp == "end" and options.kind != "bars":
        raise ImportDataError(f"stamp is 'end', but {options.kind} happen at an instant; leave --stamp out")
    if options.delimiter is not None and len(options.delimiter) != 1:
        raise ImportDataError(f"invalid delimiter: expected one character, got {options.delimiter!r}")
    require_date_format(options)
    _ = options.stored_kind, options.zone, options.names, options.positions  # raise here, before anything is read


class _Run:
    """Rows read and not yet written, and what was done so far."""

    def __init__(self, catalog: Catalog, options: ImportOptions) -> None:
        self.read = 0
        self.duplicates = 0
        self.written = UpsertSummary()
        self._catalog = catalog
        self._options = options
        self._pending: list[pl.DataFrame] = []
        self._rows = 0

    @property
    def is_full(self) -> bool:
        return self._rows >= CHUNK_ROWS

    def add(self, frame: pl.DataFrame) -> None:
        if self._pending and self._pending[0].schema != frame.schema:
            _require_like(frame, self._pending[0])
        self._pending.append(frame)
        self._rows += len(frame)
        self.read += len(frame)

    def flush(self, quarantine: Quarantine) -> None:
        if not self._rows:
            return
        rows = pl.concat(self._pending, how="vertical_relaxed")
        self._pending, self._rows = [], 0
        result = validate(rows, self._options)
        accepted = result.accepted
        if self._options.kind in EVENT_KINDS:
            accepted = _across_files(accepted, result.sources, self._options.stored_kind)
        self.duplicates += result.duplicates + result.accepted.num_rows - accepted.num_rows
        quarantine.add(result.rejected)
        self.written += self._catalog.upsert(self._options.stored_kind, accepted)


def _require_like(frame: pl.DataFrame, other: pl.DataFrame) -> None:
    """Raise unless columns of two files of one import can stand below each other."""
    for name, kind in other.schema.items():
        if kind != frame.schema[name] and not (kind.is_numeric() and frame.schema[name].is_numeric()):
            raise ImportDataError(
                f"{frame['source'][0]}: column {name} is {frame.schema[name]}, in files before it {kind}",
                hint="import the files one by one",
            )


def _across_files(accepted: pa.Table, sources: pl.Series, kind: str) -> pa.Table:
    """Keep of events alike as many as the file with the most of them has: files of one market overlap."""
    if sources.n_unique() < 2:
        return accepted
    frame = pl.DataFrame(pl.from_arrow(accepted)).with_columns(sources.alias("source"))
    columns = accepted.schema.names
    frame = frame.with_columns(occurrence=pl.int_range(pl.len()).over("source", *columns))
    first = frame.unique([*columns, "occurrence"], keep="first", maintain_order=True).select(columns)
    return conform(first.to_arrow(), kind, "rows imported")
