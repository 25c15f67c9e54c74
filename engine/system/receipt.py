"""`ExportReceipt`: what an export to a file was, and what it cost."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mismartera.engine.export.document.document import Export
from mismartera.engine.export.formats.format import Written


@dataclass(frozen=True, slots=True)
class ExportReceipt:
    """One export that is durable on disk. It can be used wherever a path is expected.

    Attributes
    ----------
    path : Path
        The file, or the folder of tables.
    format : str
        One of `formats.FORMATS`.
    bytes : int
        Size on disk, of all files of a folder.
    rows, symbols, threads : int
        What it carries: rows of bars, ticks and quotes; symbols; sections of threads.
    mode : {"complete", "delta"}
    consumer : str
    run_id : str
    sequence : int
    base_sequence : int or None
        The export that a delta applies to; None for a complete export, and for a consumer's first delta.
    generated_at : str
        Engine clock, in the exchange's zone.
    snapshot_s, encode_s, write_s, sync_s : float
        Seconds to plan it from the snapshot, to encode it, to write it, to make it durable.
    """

    path: Path
    format: str
    bytes: int
    rows: int
    symbols: int
    threads: int
    mode: str
    consumer: str
    run_id: str
    sequence: int
    base_sequence: int | None
    generated_at: str
    snapshot_s: float
    encode_s: float
    write_s: float
    sync_s: float

    @classmethod
    def of(cls, export: Export, written: Written, run_id: str) -> ExportReceipt:
        """Return the receipt of an export that was written."""
        return cls(
            path=written.path,
            format=written.format,
            bytes=_size(written.path),
            rows=export.rows,
            symbols=len(export.session.selection.codes),
            threads=len(export.sections["threads"]),
            mode=export.metadata["mode"],
            consumer=export.consumer,
            run_id=run_id,
            sequence=export.sequence,
            base_sequence=export.metadata["base_sequence"],
            generated_at=export.generated_at,
            snapshot_s=export.snapshot_s,
            encode_s=written.drained.encode_s,
            write_s=written.drained.write_s,
            sync_s=written.sync_s,
        )

    @property
    def total_s(self) -> float:
        """Seconds in all."""
        return self.snapshot_s + self.encode_s + self.write_s + self.sync_s

    def __fspath__(self) -> str:
        """Return the path, so that ``open(receipt)`` and ``Path(receipt)`` work."""
        return str(self.path)


def _size(path: Path) -> int:
    """Return the bytes on disk; files that another export has replaced by now count nothing."""
    size = 0
    with suppress(FileNotFoundError):
        for file in os.scandir(path) if path.is_dir() else (path,):
            size += file.stat().st_size
    return size
