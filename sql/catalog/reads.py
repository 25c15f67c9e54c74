"""`FileReads`: the partitions whose rows a query read, checked against their checksums, which DuckDB does not do."""

from __future__ import annotations

from pathlib import Path

import orjson

from mismartera.engine.data.partition import check_file
from mismartera.schemas.errors import CatalogError
from mismartera.sql.database import Database


class FileReads:
    """Checks the files a database read.

    Parameters
    ----------
    database : Database
        One that logs reads, used by one thread at a time.

    Notes
    -----
    1 ms a query, and 0.4 ms for each megabyte of the files it reads first; a file is checked again when it changed.
    What a query read is known only afterwards, so its answer is held back until its files are checked.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._checked: dict[str, tuple[int, int, int]] = {}

    def take_problem(self) -> CatalogError | None:
        """Return the damage of the files that were read since the last call; None if they are sound."""
        for path in () if self._database.is_broken else sorted(self._take()):
            try:
                stat = Path(path).stat()
            except FileNotFoundError:
                continue  # a write merged it into another file meanwhile
            state = stat.st_mtime_ns, stat.st_size, stat.st_ino
            if self._checked.get(path) == state:
                continue
            try:
                check_file(Path(path))
            except CatalogError as problem:
                return problem
            self._checked[path] = state
        return None

    def _take(self) -> set[str]:
        """Return the files of which more than the footer was read, and forget them."""
        with self._database.connect() as connection:
            messages = connection.execute("SELECT message FROM duckdb_logs() WHERE type = 'FileSystem'").fetchall()
            connection.execute("CALL truncate_duckdb_logs()").fetchall()
        reads = [one for (text,) in messages if (one := orjson.loads(text))["op"] == "READ"]
        ends: dict[str, int] = {}  # reading a footer reaches the end of the file, reading rows never does
        for one in reads:
            ends[one["path"]] = max(ends.get(one["path"], 0), int(one["pos"]) + int(one["bytes"]))
        return {one["path"] for one in reads if int(one["pos"]) + int(one["bytes"]) < ends[one["path"]]}
