"""`SystemExports`: the exports of a system, to any number of consumers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mismartera.engine.export.consumers.consumers import DEFAULT, ConsumerInfo, Consumers
from mismartera.engine.export.consumers.filter import ExportFilter
from mismartera.engine.export.document.document import Export
from mismartera.engine.export.formats.registry import checked_format
from mismartera.engine.export.writing.targets import names_folder, status_name, write_export
from mismartera.engine.export.writing.timings import ExportLog
from mismartera.engine.state.snapshot import Snapshot
from mismartera.engine.time.time_manager import TimeManager
from mismartera.schemas.config import SessionConfig
from mismartera.schemas.errors import DataError, ExportError
from mismartera.schemas.interval import Interval

from .receipt import ExportReceipt

STATUS_FOLDER = Path("data/status")
JSON_CONSUMER = "system_json"


class SystemExports(ABC):
    """The part of a `SystemManager` that exports: consumers and their cursors, documents, files.

    Parameters
    ----------
    run_id : str

    Attributes
    ----------
    config : SessionConfig
    time_manager : TimeManager
    export_log : ExportLog
        What each delivered export cost.
    run_id : str
        What the exports of this run are known by.
    """

    config: SessionConfig
    time_manager: TimeManager

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self._consumers = Consumers(run_id)
        self.export_log = ExportLog()

    @property
    @abstractmethod
    def snapshot(self) -> Snapshot:
        """The session's state as last published."""

    @abstractmethod
    def _sections(self, snapshot: Snapshot, *, complete: bool, debug: bool) -> Mapping[str, Any]:
        """Return the sections of an export beside ``session_data``, as plain data."""

    def register_consumer(
        self,
        name: str,
        *,
        symbols: Sequence[str] | None = None,
        intervals: Sequence[Interval | int | str] | None = None,
        parts: Sequence[str] | None = None,
    ) -> None:
        """Add a consumer of exports, which has been sent nothing yet. The same call again changes nothing.

        Parameters
        ----------
        name : str
        symbols, intervals : sequence, optional
            What its exports hold; by default everything. Intervals may name ``"ticks"`` and ``"quotes"``.
        parts : sequence of {"session", "historical"}, optional
            Whose rows they hold; by default both.

        Raises
        ------
        DataError
            If the name is none, or the one that `to_json` uses.
        UnknownNameError
            If the session has no such symbol, interval or part.
        StateError
            If `name` is registered with another filter.
        """
        if name == JSON_CONSUMER:
            raise DataError(f"consumer name {name!r} is reserved for to_json(): expected another name")
        history = self.config.session_data_config.historical
        self._consumers.register(name, ExportFilter.of(self.snapshot, symbols, intervals, parts, history))

    def list_consumers(self) -> list[ConsumerInfo]:
        """Return every consumer, by name, with its sequence and how far it lags in rows and seconds."""
        return self._consumers.infos(self.snapshot)

    def reset_export(self, consumer: str = DEFAULT) -> None:
        """Forget what a consumer was sent: its next export is number 1 and carries everything."""
        self._consumers.reset(consumer)

    def save_consumer(self, name: str = DEFAULT) -> dict[str, Any]:
        """Return what a consumer holds as plain data, to be written down as JSON and given to `load_consumer`.

        Returns
        -------
        dict
            ``run_id``, ``consumer``, ``filter``, ``sequence``, ``last_update``, ``symbols`` and ``cursor``: row counts
            of every symbol, about 20 bytes per symbol and data type.
        """
        return self._consumers.save(name, self.snapshot)

    def load_consumer(self, saved: Mapping[str, Any]) -> None:
        """Have a consumer go on that another process saved, in the same run taken up again; see `Consumers.load`.

        Take a run up again with its `run_id`, the same configuration and the same rows, up to the instant of the
        consumer's last export or later.
        """
        self._consumers.load(saved, self.snapshot)

    def export(self, consumer: str = DEFAULT, *, complete: bool = False, debug: bool = False) -> Export:
        """Return the next export of a consumer; its cursor stays where it is until `acknowledge`.

        Parameters
        ----------
        consumer : str
            ``"default"``, or one that was registered.
        complete : bool
            Everything, or what this consumer has not been sent.
        debug : bool
            Whether performance and queue depths are told.

        Raises
        ------
        DataError
            If `complete` or `debug` is neither True nor False.
        UnknownNameError
            If no consumer of that name is registered.
        """
        complete, debug = _flag("complete", complete), _flag("debug", debug)
        snapshot = self.snapshot
        return self._consumers.export(
            consumer,
            snapshot,
            lambda: self._sections(snapshot, complete=complete, debug=debug),
            complete=complete,
            debug=debug,
            generated_at=self.time_manager.isoformat(snapshot.now_us),
        )

    def acknowledge(
        self,
        export: Export | ExportReceipt | None = None,
        *,
        consumer: str | None = None,
        run_id: str | None = None,
        sequence: int | None = None,
        generated_at: str | None = None,
    ) -> None:
        """Move a consumer's cursor to an export it received, and record what the export cost.

        Parameters
        ----------
        export : Export or ExportReceipt, optional
            As `export` or ``export_status(acknowledge=False)`` returned it.
        consumer, run_id, sequence : optional
            The same by number, for who has only the document, such as another process: ``_metadata.consumer``,
            ``performance_metrics.run_id`` and ``_metadata.sequence``. All three, in place of `export`.
        generated_at : str, optional
            ``_metadata.generated_at``: which export of that number it is, where several were made.

        Raises
        ------
        StateError
            If it is an export of another run, or the consumer acknowledged another one, or was reset, since it was
            made.
        DataError
            If neither an export nor all three of `consumer`, `run_id` and `sequence` are given.
        """
        if isinstance(export, ExportReceipt):
            consumer, run_id, sequence = export.consumer, export.run_id, export.sequence
            generated_at = export.generated_at
        elif export is not None:
            self._consumers.acknowledge(export)
            self.export_log.add(export.timing("python", export.drained))
            return
        if consumer is None or run_id is None or sequence is None:
            raise DataError(
                "expected an export, or consumer, run_id and sequence, "
                f"got consumer={consumer!r}, run_id={run_id!r}, sequence={sequence!r}"
            )
        self.export_log.add(self._consumers.acknowledge_sequence(consumer, run_id, sequence, generated_at))

    def system_info(self, complete: bool = True, debug: bool = False, *, consumer: str = DEFAULT) -> dict[str, Any]:
        """Return an export as plain data, and acknowledge it.

        Parameters
        ----------
        complete : bool
            Everything, or what this consumer has not been sent.
        debug : bool
        consumer : str
        """
        with self._consumers.delivering(consumer):
            export = self.export(consumer, complete=complete, debug=debug)
            document = export.to_json()
            self.acknowledge(export)
        return document

    def export_status(
        self,
        path: str | Path | None = None,
        *,
        complete: bool = True,
        debug: bool = False,
        consumer: str = DEFAULT,
        auto_compress: bool = False,
        folder: str | Path | None = None,
        form: str | None = None,
        acknowledge: bool = True,
    ) -> ExportReceipt:
        """Write an export to a file, and acknowledge it once the file is durable.

        Parameters
        ----------
        path : str or Path, optional
            Its suffix gives the format: ``.json``, ``.json.gz``, ``.json.zst``, or ``.arrow`` and ``.parquet``, which
            are folders of tables; without one it gets that of `form`. An export there is replaced; a link is followed.
            By default a new file ``<folder>/system_status_<session_name>_<complete|delta>_<YYYYMMDD_HHMMSS>.<form>``;
            for a folder, or a path that ends in a slash, such a file in there.
        complete, debug, consumer
            See `export`.
        auto_compress : bool
            Whether a ``.json`` that would exceed 1 MB becomes a ``.json.gz``; a path that ends in ``.json`` stays.
        folder : str or Path, optional
            Where an export without a path goes; by default ``data/status``.
        form : {"json", "json.gz", "json.zst", "arrow", "parquet"}, optional
            Format of an export whose path has no suffix; by default JSON.
        acknowledge : bool
            Whether the consumer has received it with that. If not, its cursor stays until `acknowledge` is called,
            with the receipt, or by the number that the file carries.

        Returns
        -------
        ExportReceipt
            Where it is, what it carries, and what it cost.

        Raises
        ------
        UnknownNameError
            If the form or the consumer does not exist.
        ExportError
            If `path` and `folder` are given, or a `form` that the suffix contradicts; or if it could not be written:
            nothing is left there, and the cursor did not move.
        """
        if path is not None and folder is not None:
            raise ExportError(
                f"expected a path or a folder, and both were given: {path} and {folder}",
                hint=f"export_status(Path({str(folder)!r}) / {str(path)!r}) names a file in that folder",
            )
        with self._consumers.delivering(consumer):
            export = self.export(consumer, complete=complete, debug=debug)
            if path is None or names_folder(path):
                form = checked_format("json" if form is None else form)
                name = status_name(self.config.session_name, complete=export.complete, stamp=self._stamp(), form=form)
                target = Path(path or folder or STATUS_FOLDER) / name
                written = write_export(target, export, replace=False, auto_compress=auto_compress)
            else:
                compress = auto_compress and not Path(path).suffix
                written = write_export(Path(path), export, form=form, auto_compress=compress)
            timing = export.timing(written.format, written.drained, written.sync_s)
            if acknowledge:
                self._consumers.acknowledge(export)
                self.export_log.add(timing)
            else:
                self._consumers.keep_pending(export, timing)
        return ExportReceipt.of(export, written, self.run_id)

    def to_json(self, complete: bool = False, debug: bool = False) -> dict[str, Any]:
        """Return the state as plain data: by default what is new since the last call.

        Parameters
        ----------
        complete : bool
            Everything.
        debug : bool
            Whether performance and queue depths are included.

        Returns
        -------
        dict
            An export, complete or a delta, to the consumer ``"system_json"``. The first delta carries every row.
        """
        self._consumers.register(JSON_CONSUMER)
        return self.system_info(complete, debug, consumer=JSON_CONSUMER)

    def _stamp(self) -> str:
        return self.time_manager.to_local(self.time_manager.wall_us()).strftime("%Y%m%d_%H%M%S")


def _flag(name: str, value: object) -> bool:
    """Return True or False, NumPy's as well; anything else would be told in the export as it is."""
    if not isinstance(value, bool | np.bool_):
        raise DataError(f"{name} is {value!r}: expected True or False")
    return bool(value)
