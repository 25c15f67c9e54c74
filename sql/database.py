"""DuckDB shut off from everything but the tables it is given, with limits of time, memory and rows."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from .errors import QueryError
from .views import create_empty_tables

_CLOSED = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "allow_unsigned_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",  # nothing is spilled: what does not fit into the memory limit is stopped
}


LONGEST_TIMEOUT = 1_000_000
"""Seconds; eleven days."""
_SIZE = re.compile(r"\d+(\.\d+)? ?([KMGT]i?)?B", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one query may use.

    Attributes
    ----------
    memory : str
        What DuckDB may hold for all queries of a database together, and one answer besides, such as ``"1GB"``. Memory
        of the tables is not counted: they are read where they lie.
    timeout_s : float
        Seconds until a query is stopped; 0 for none.
    rows : int
        Rows an answer may have; 0 for any number.
    threads : int
        Threads of a query; 0 for as many as there are processors.
    """

    memory: str = "1GB"
    timeout_s: float = 30.0
    rows: int = 5_000_000
    threads: int = 0

    @property
    def memory_bytes(self) -> int:
        """The limit of memory in bytes."""
        number, unit = re.fullmatch(r"([\d.]+) ?(\w+)", self.memory).groups()  # type: ignore[union-attr]
        return int(float(number) * (1024 if "i" in unit.lower() else 1000) ** ("BKMGT".index(unit[0].upper())))

    def __post_init__(self) -> None:
        if not _SIZE.fullmatch(self.memory) or not re.search("[1-9]", self.memory):
            raise QueryError(
                f"limits of a query: Memory of {self.memory!r}: expected a size above 0 such as '500MB' or '2GB'"
            )
        if not 0 <= self.timeout_s <= LONGEST_TIMEOUT:  # false of NaN too
            raise QueryError(
                f"limits of a query: a timeout of {self.timeout_s} s: expected 0 for none, to {LONGEST_TIMEOUT:,}"
            )
        for told, value in (("rows", self.rows), ("threads", self.threads)):
            if value < 0:
                raise QueryError(f"limits of a query: {value} {told}: expected 0 for any number, or more")


class Database:
    """A closed in-memory database; each connection to it has tables of its own and sees no other's.

    Parameters
    ----------
    limits : Limits
    timezone : str
        The zone times are shown and read in.
    folders : sequence of Path
        The only folders a connection may read from; none by default.
    logs_reads : bool
        Whether ``duckdb_logs()`` tells each read of a file. A file is then read anew by each query, not kept.

    Attributes
    ----------
    is_broken : bool
        Whether it failed while it answered, and answers nothing any more.

    Notes
    -----
    Opening costs 20 to 50 ms once, a connection 0.1 ms. Safe to use from several threads. External access is off, the
    configuration is locked, and no extension can be loaded, whoever writes the queries.
    """

    def __init__(
        self, limits: Limits, timezone: str = "UTC", folders: Sequence[Path] = (), *, logs_reads: bool = False
    ) -> None:
        config: dict[str, str | bool | int | float | list[str]] = dict(_CLOSED)
        config["memory_limit"] = limits.memory
        config["max_execution_time"] = str(math.ceil(limits.timeout_s * 1000))
        if limits.threads:
            config["threads"] = str(limits.threads)
        try:
            self._root = duckdb.connect(":memory:", config=config)
            # In this order: what is allowed is named while it still may be, and the lock comes last.
            if folders:
                # What is read is named by a pattern, so a folder is allowed as its name and as the pattern for it.
                names = dict.fromkeys(form(str(folder.resolve())) for folder in folders for form in (str, as_pattern))
                listed = ", ".join(quoted(name) for name in names)
                self._root.execute(f"SET allowed_directories = [{listed}]")
            if logs_reads:
                self._root.execute("SET enable_external_file_cache = false")
                self._root.execute("CALL enable_logging('FileSystem', storage = 'memory')").fetchall()
            self._root.execute("SET enable_external_access = false")
            self._root.execute(f"SET GLOBAL TimeZone = {quoted(timezone)}")
            create_empty_tables(self._root)
            self._root.execute("SET lock_configuration = true")
        except duckdb.Error as error:
            raise QueryError(
                f"limits of a query: {str(error).splitlines()[0]}",
                hint="a memory limit is a size such as '500MB' or '2GB'",
            ) from error
        self.is_broken = False
        self._lock = threading.Lock()

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of its own."""
        with self._lock:
            return self._root.cursor()

    def close(self) -> None:
        """Give its memory back; connections end with it."""
        self._root.close()


def as_pattern(path: str) -> str:
    """Return the file pattern that matches `path` alone."""
    return re.sub(r"([\[\]*?])", r"[\1]", path)


def quoted(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
