"""`open_exports`: the tables over exports on disk, replayed as of any sequence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mismartera.engine.export.reading.chain import ExportFile, chain_of, find_exports, of_one_run
from mismartera.engine.export.reading.loading import load
from mismartera.engine.export.reading.totals import Counted, require_totals
from mismartera.sql.database import Database, Limits, as_pattern, quoted
from mismartera.sql.guard.policy import PRIVATE_PREFIX
from mismartera.sql.live.figures import config_table, threads_table
from mismartera.sql.session import SqlSession
from mismartera.sql.tables import SQL_TABLES
from mismartera.sql.views import Source, part, union

_MEMBER = "member"


@dataclass(frozen=True, slots=True)
class Member:
    """One export of a chain.

    Attributes
    ----------
    file : ExportFile
    format : str
    sections : mapping
        Its sections beside ``session_data``.
    tables : mapping
        Its tables in memory or mapped; none where its Parquet files are scanned.
    symbols : list of str
    rows : int
        Rows of bars, ticks and quotes it carries.
    """

    file: ExportFile
    format: str
    sections: Mapping[str, Any]
    tables: Mapping[str, pa.Table]
    symbols: list[str]
    rows: int


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
        Show the state after the export with this sequence, and of the exports those made by then; by default all.
    consumer : str, optional
        Whose exports; may be left out where all are of one consumer.
    limits : Limits, optional

    Raises
    ------
    NotAnExportError
        If a file is not an export, or is damaged.
    ChainError
        If an export is missing or foreign, or the chain does not add up to what an export of it says.
    ConsumerError
        If there are several consumers, and none is named.
    UnknownNameError
        If `consumer` or `as_of` does not exist.

    Notes
    -----
    Every check that a replay makes is made here too, each file is read once for it. After that Parquet is scanned
    where it lies and Arrow is mapped, neither is held; JSON is parsed once, 3 to 4 seconds for 100 MB. Deltas are
    replayed by the views, in DuckDB. Only a query of ``exports`` reads exports that what is shown does not need, to
    count their rows.
    """
    found = find_exports(paths)
    chain = chain_of(found, consumer, as_of)
    members = _loaded(chain)
    limits = limits or Limits()
    views = _Views(members, found if as_of is None else [one for one in found if _was_there(one, chain[-1])])
    folders = [member.file.path for member in members if member.format == "parquet"]
    database = Database(limits, views.timezone, folders)
    return SqlSession(database, limits, views.sources(), owns_database=True)


def _loaded(chain: Sequence[ExportFile]) -> list[Member]:
    """Return the exports of a chain, after all checks of a replay."""
    members: list[Member] = []
    counted: list[Counted] = []
    metrics: Mapping[str, Any] = {}
    for file in chain:
        export = load(file.path)
        export.require_sound()
        of_one_run(metrics, export.sections["performance_metrics"], file.path)
        metrics = export.sections["performance_metrics"]
        tables = export.tables()
        if len(chain) > 1 or not file.is_complete:  # else its own counts were compared already
            counted.append(Counted.of(file.path, file.metadata, tables))
        kept = {} if export.format == "parquet" else tables
        members.append(Member(file, export.format, export.sections, kept, export.symbols, export.rows))
    if counted:
        require_totals(counted)
    return members


class _Views:
    """The views of one chain of exports."""

    def __init__(self, members: Sequence[Member], listed: Sequence[ExportFile]) -> None:
        self._members = members
        self._listed = listed
        self._last = len(members) - 1
        # Session rows before a complete export or a new session are gone.
        self._since = max(
            (at for at, one in enumerate(members) if one.file.is_complete or one.file.metadata.get("reset")), default=0
        )
        self.timezone = str(members[-1].sections["system_manager"]["timezone"])

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
            "exports": lambda: Source({"exports": _exports_table(self._listed, self._members)}),
            "threads": lambda: Source({"threads": threads_table(self._document("threads"))}),
            "config": lambda: Source({"config": config_table(self._document("session_config"))}),
        }

    def _document(self, name: str) -> Mapping[str, Any]:
        held = (member.sections[name] for member in reversed(self._members) if name in member.sections)
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
        held = self._members[-1].symbols
        held = sorted(held, key=lambda symbol: (order.get(symbol, len(order)), symbol))
        rows = {"symbol": held, "position": list(range(len(held)))}
        return Source({"symbols": pa.Table.from_pydict(rows, schema=SQL_TABLES["symbols"].schema)})

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
            if at >= since and member.format == "parquet":
                file = quoted(as_pattern(str((member.file.path / f"{name}.parquet").resolve())))
                parts.append(f"SELECT *, {at} AS {_MEMBER} FROM read_parquet({file})")
        return union(parts)


def _numbered(at: int, table: pa.Table) -> pa.Table:
    """Return a table with its member's number, and its texts plain: two exports have dictionaries of their own."""
    plain = [(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in table.schema]
    return table.cast(pa.schema(plain)).append_column(_MEMBER, pa.array(np.full(table.num_rows, at)))


def _exports_table(listed: Sequence[ExportFile], members: Sequence[Member]) -> pa.Table:
    carried = {member.file.path: member.rows for member in members}
    rows = [
        {
            "consumer": one.metadata["consumer"],
            "sequence": one.sequence,
            "mode": one.metadata.get("mode"),
            "format": one.format,
            "generated_at": one.generated_at,
            "rows": carried[one.path] if one.path in carried else load(one.path).rows,
            "bytes": one.nbytes,
        }
        for one in sorted(listed, key=lambda one: (one.metadata["consumer"], one.sequence))
    ]
    return pa.Table.from_pylist(rows, schema=SQL_TABLES["exports"].schema)


def _was_there(export: ExportFile, last: ExportFile) -> bool:
    """Return whether an export was made by the time of the last that is shown."""
    if export.metadata["consumer"] == last.metadata["consumer"]:
        return export.sequence <= last.sequence
    return export.generated_at <= last.generated_at
