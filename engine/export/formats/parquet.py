"""Exports as folders of Parquet files, with a checksum for each page."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from .table_folder import TableFolder


class ParquetFolder(TableFolder):
    """A folder of ``.parquet`` files."""

    name = "parquet"
    suffix = ".parquet"

    def write_table(self, table: pa.Table, file: BinaryIO) -> None:
        """Write a table with page checksums."""
        pq.write_table(table, file, compression="zstd", version="2.6", write_page_checksum=True)

    def read_table(self, path: Path) -> pa.Table:
        """Return a table whose pages have the right checksums, where they have any."""
        return pq.read_table(path, page_checksum_verification=True, partitioning=None)


PARQUET = ParquetFolder()
