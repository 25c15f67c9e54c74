"""Exports as folders of Arrow IPC streams."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.ipc

from .table_folder import TableFolder


class ArrowFolder(TableFolder):
    """A folder of ``.arrows`` files, which are mapped into memory where they are read."""

    name, suffix = "arrow", ".arrows"

    def write_table(self, table: pa.Table, file: BinaryIO) -> None:
        """Write a table as one stream."""
        with pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table)

    def read_table(self, path: Path) -> pa.Table:
        """Return a table over the mapped file: a column takes memory when it is read."""
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
            return stream.read_all()


ARROW = ArrowFolder()
