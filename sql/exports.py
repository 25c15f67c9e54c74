"""`open_exports`: the tables over exports on disk, replayed as of any sequence."""

from __future__ import annotations

import datetime as dt
import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.ipc

from .chain import ExportFile, chain_of, find_exports, load_document, load_folder_metadata
from .errors import ExportsError
from .json_tables import tables_of
from .live_figures import config_table, threads_table
from .policy import PRIVATE_PREFIX
from .safe import Database, Limits, as_pattern, quoted
from .session import SqlSession
from .tables import TABLES
from .views import Source, part, union

_MEMBER = "member"
# What reading a part that is not as the contract has it comes to.
_MALFORMED = (
    AttributeError,
    LookupError,
    OverflowError,
    TypeError,
    ValueError,
    pa.ArrowException,
    pl.exceptions.PolarsError,
)


def open_exports(
    paths: Iterable[str | Path],
    *,
    as_of: int | None = None,
    consumer: str | None = None,
    limits: Limits | None = None,
) -> SqlSession:
    """Return a session over exports; it is closed by the caller.

    Parameters
    ----------
    paths : iterable of str or Path
        Export files (``.json``, ``.json.gz``, ``.json.zst``), export folders (``.parquet``, ``.arrow``), or folders
        that hold some of either.
    as_of : int, optional
        Show the state after the export with this sequence; by default after the last.
    consumer : str, optional
        Whose exports; may be left out where all are of one consumer.
    limits : Limits, optional

    Raises
    ------
    ExportsError
        If a file is no export, the chain of deltas has a gap, or what it adds up to is not what it says: the message
        names the file.

    Notes
    -----
    Parquet is scanned where it lies and Arrow is mapped, neither is loaded; JSON is parsed once, 3 to 4 seconds for
    100 MB. Deltas are replayed by the views, in DuckDB.
    """
    found = find_exports(paths)
    chain = chain_of(found, consumer, as_of)
    members = [_load(export) for export in chain]
    limits = limits or Limits()
    views = _Views(members, found)
    folders = [member.file.path for member in members if member.file.format == "parquet"]
    database = Database(limits, views.timezone, folders)
    if len(members) > 1:
        with SqlSession(database, limits, views.sources()) as session:
            _verify(session, members[-1])
    return SqlSession(database, limits, views.sources(), owns_database=True)


@dataclass(frozen=True, slots=True)
class _Member:
    """One export of a chain: its tables in memory, or where its Parquet files lie."""

    file: ExportFile
    document: Mapping[str, Any]
    tables: Mapping[str, pa.Table]


def _load(file: ExportFile) -> _Member:
    if file.format in ("parquet", "arrow"):
        document = load_folder_metadata(file.path)
        return _Member(file, document, {} if file.format == "parquet" else _mapped(file.path))
    with _uncollected():
        document = load_document(file.path)
        try:
            tables = tables_of(document)
        except _MALFORMED as error:
            raise ExportsError(f"{file.path}: not as the contract has it: {error!r}", path=file.path) from error
        head = {name: value for name, value in document.items() if name != "session_data"}
        del document
    return _Member(file, head, tables)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Hold the garbage collector: millions of rows that all are needed make it look in vain, for half of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _mapped(folder: Path) -> dict[str, pa.Table]:
    """Return the tables of an Arrow export over the mapped files: a column is read when a query reads it."""
    tables = {}
    for path in sorted(folder.glob("*.arrows")):
        try:
            with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
                tables[path.stem] = stream.read_all()
        except (OSError, pa.ArrowException) as error:
            raise ExportsError(f"{path}: not a whole Arrow stream: {error}", path=path) from error
    return tables


class _Views:
    """The views of one chain of exports."""

    def __init__(self, members: Sequence[_Member], found: Sequence[ExportFile]) -> None:
        self._members = members
        self._found = found
        self._last = len(members) - 1
        # Session rows before a complete export or a new session are gone.
        self._since = max(
            (at for at, one in enumerate(members) if one.file.is_complete or one.file.metadata.get("reset")), default=0
        )
        self.timezone = str(members[-1].document["system_manager"]["timezone"])

    def sources(self) -> dict[str, Callable[[], Source]]:
        return {
            "session_bars": self._session_bars,
            "historical_bars": partial(self._historical, "historical_bars"),
            "bars": lambda: Source(
                select=part("bars", historical="historical_bars", session="session_bars"),
                needs=("session_bars", "historical_bars"),
            ),
            "ticks": partial(self._events, "ticks"),
            "quotes": partial(self._events, "quotes"),
            "gaps": self._gaps,
            "quality": self._quality,
            "session_metrics": self._metrics,
            "indicators": partial(self._historical, "indicators"),
            "symbols": self._symbols,
            "exports": lambda: Source({"exports": _exports_table(self._found, self._members)}),
            "threads": lambda: Source({"threads": threads_table(self._document("threads"))}),
            "config": lambda: Source({"config": config_table(self._document("session_config"))}),
        }

    def _document(self, name: str) -> Mapping[str, Any]:
        held = (member.document[name] for member in reversed(self._members) if name in member.document)
        return next(held, {})

    def _session_bars(self) -> Source:
        arrow: dict[str, pa.Table] = {}
        rows = self._rows("session_bars", arrow, self._since)
        if self._since == self._last:
            return Source(arrow, rows)
        return Source(arrow, part("export_session", members=rows, present=self._present(arrow)))

    def _historical(self, name: str) -> Source:
        arrow: dict[str, pa.Table] = {}
        rows = self._rows(name, arrow)
        if not self._last:
            return Source(arrow, rows)
        return Source(arrow, part("export_historical", members=rows, owners=self._owners(arrow)))

    def _events(self, name: str) -> Source:
        arrow: dict[str, pa.Table] = {}
        rows, present = self._rows(name, arrow, self._since), self._present(arrow)
        return Source(arrow, part("export_events", members=rows, present=present, timezone=self.timezone))

    def _gaps(self) -> Source:
        arrow: dict[str, pa.Table] = {}
        select = part(
            "export_gaps",
            session=self._rows("gaps", arrow, self._since),
            members=self._rows("gaps", arrow),
            present=self._present(arrow),
            owners=self._owners(arrow),
            timezone=self.timezone,
        )
        return Source(arrow, select)

    def _quality(self) -> Source:
        arrow: dict[str, pa.Table] = {}
        last, rows = self._rows("quality", arrow, self._last), self._rows("quality", arrow)
        return Source(arrow, part("export_quality", last=last, members=rows, owners=self._owners(arrow)))

    def _metrics(self) -> Source:
        arrow: dict[str, pa.Table] = {}
        date = self._members[-1].file.metadata.get("session_date")
        told = "NULL" if date is None else f"DATE {quoted(str(dt.date.fromisoformat(date)))}"
        last = self._rows("session_metrics", arrow, self._last)
        return Source(arrow, part("export_metrics", last=last, session_date=told))

    def _symbols(self) -> Source:
        config = self._document("session_config").get("session_data_config", {})
        order = {symbol: place for place, symbol in enumerate(config.get("symbols", []))}
        names = self._document("session_data") or {}
        held = names.get("_active_symbols") or self._members[-1].tables["session_metrics"].column("symbol").to_pylist()
        held = sorted(held, key=lambda symbol: (order.get(symbol, len(order)), symbol))
        rows = {"symbol": held, "position": list(range(len(held)))}
        return Source({"symbols": pa.Table.from_pydict(rows, schema=TABLES["symbols"].schema)})

    def _present(self, arrow: dict[str, pa.Table]) -> str:
        """Return the symbols the last export tells of; others have left."""
        return f"SELECT symbol FROM ({self._rows('session_metrics', arrow, self._last)})"

    def _owners(self, arrow: dict[str, pa.Table]) -> str:
        return part("export_owners", members=self._rows("history", arrow), present=self._present(arrow))

    def _rows(self, name: str, arrow: dict[str, pa.Table], since: int = 0) -> str:
        """Return a SELECT of one table's rows in all members from `since` on, each with its member's number."""
        parts = []
        held = [(at, one.tables[name]) for at, one in enumerate(self._members) if at >= since and name in one.tables]
        if held:
            registered = f"{PRIVATE_PREFIX}{name}_{since}"
            arrow[registered] = pa.concat_tables([_numbered(at, table) for at, table in held])
            parts.append(f"SELECT * FROM {registered}")
        for at, member in enumerate(self._members):
            if at >= since and member.file.format == "parquet":
                file = quoted(as_pattern(str((member.file.path / f"{name}.parquet").resolve())))
                parts.append(f"SELECT *, {at} AS {_MEMBER} FROM read_parquet({file})")
        return union(parts)


def _numbered(at: int, table: pa.Table) -> pa.Table:
    """Return a table with its member's number, and its texts plain: two exports have dictionaries of their own."""
    plain = [(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in table.schema]
    return table.cast(pa.schema(plain)).append_column(_MEMBER, pa.array(np.full(table.num_rows, at)))


def _exports_table(found: Sequence[ExportFile], members: Sequence[_Member]) -> pa.Table:
    carried = {member.file.path: _rows_of(member) for member in members}
    rows = [
        {
            "consumer": one.metadata["consumer"],
            "sequence": one.sequence,
            "mode": one.metadata.get("mode"),
            "format": one.format,
            "generated_at": one.generated_at,
            "rows": carried.get(one.path),
            "bytes": one.nbytes,
        }
        for one in sorted(found, key=lambda one: (one.metadata["consumer"], one.sequence))
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["exports"].schema)


def _rows_of(member: _Member) -> int:
    """Return the rows of bars, ticks and quotes an export carries."""
    told: Mapping[str, int] = member.document.get("tables", {})
    held = {name: table.num_rows for name, table in member.tables.items()}
    return sum((held or told).get(name, 0) for name in ("session_bars", "historical_bars", "ticks", "quotes"))


def _verify(session: SqlSession, last: _Member) -> None:
    """Raise unless the replayed rows are as many as the last export says: a consumer's own proof."""
    counted = session.query("SELECT symbol, interval, count(*) AS held FROM session_bars GROUP BY ALL")
    held = {(row["symbol"], row["interval"]): row["held"] for row in counted.to_pylist()}
    told = session.query("SELECT symbol, interval, bars FROM quality WHERE scope = 'session'").to_pylist()
    for row in told:
        rows = held.get((row["symbol"], row["interval"]), 0)
        if rows != row["bars"]:
            raise ExportsError(
                f"{last.file.path}: {row['symbol']} {row['interval']} has {rows} bars after export "
                f"{last.file.sequence}, which says {row['bars']}: an export before it is damaged or of another run",
                path=last.file.path,
            )
