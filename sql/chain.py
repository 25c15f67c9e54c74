"""Export files in the order they were made: found, described by their metadata, and checked to be one chain."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from .errors import ExportsError

METADATA = "metadata.json"
_JSON = (".json", ".json.gz", ".json.zst")
_FOLDERS = (".parquet", ".arrow")
_FIRST_BYTES, _MOST_BYTES = 1 << 16, 1 << 30


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
        inside = [path] if _format(path) else sorted(child for child in path.iterdir() if _format(child))
        for child in inside:
            found[child.resolve()] = ExportFile(child, _format(child), _metadata(child))
    if not found:
        listed = ", ".join(str(path) for path in given)
        raise ExportsError(f"no exports in {listed}: expected {', '.join((*_JSON, *_FOLDERS))}", path=given[:1])
    return list(found.values())


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


def load_document(path: Path) -> dict[str, Any]:
    """Return a JSON export as plain data; raises `ExportsError` if it is none."""
    try:
        with _open(path) as file:
            document = orjson.loads(file.read())
    except (OSError, EOFError, ValueError) as error:
        raise ExportsError(f"{path}: not a whole JSON export: {error}", path=path) from error
    if not isinstance(document, dict) or "session_data" not in document:
        raise ExportsError(f"{path}: no export: it has no session_data", path=path)
    _check_objects(path, document)
    return document


def load_folder_metadata(path: Path) -> dict[str, Any]:
    """Return the ``metadata.json`` of an export folder; raises `ExportsError` if it is none."""
    document = _object(path / METADATA, (path / METADATA).read_bytes() if (path / METADATA).is_file() else b"")
    _check_objects(path / METADATA, document)
    return document


def _check_objects(path: Path, document: dict[str, Any]) -> None:
    """Raise unless the parts of an export that are read from every form are there and of their types."""
    for name in ("system_manager", "threads", "session_config", "tables"):
        found = document.get(name, {} if name != "system_manager" else None)
        if not isinstance(found, dict):
            raise ExportsError(f"{path}: no export: {name}: expected an object, it is {_shown(found)}", path=path)
    for name, section in document.get("threads", {}).items():
        if not isinstance(section, dict):
            raise ExportsError(f"{path}: threads.{name}: expected an object, it is {_shown(section)}", path=path)
    zone = document["system_manager"].get("timezone")
    if not isinstance(zone, str) or not _is_zone(zone):
        raise ExportsError(
            f"{path}: system_manager.timezone: expected the name of a time zone, it is {_shown(zone)}",
            path=path,
            hint="a name is such as America/New_York",
        )


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, such as America
        return False
    return True


def _format(path: Path) -> str:
    """Return an export's form, "" for what is none."""
    if path.name[0] == ".":
        return ""
    if path.is_dir():
        if not (path / METADATA).is_file():
            return ""
        return "parquet" if any(path.glob("*.parquet")) else "arrow"
    return next((suffix[1:] for suffix in _JSON if path.name.endswith(suffix)), "")


def _metadata(path: Path) -> dict[str, Any]:
    document = load_folder_metadata(path) if path.is_dir() else {"_metadata": _first_member(path)}
    found = document.get("_metadata")
    names = [name for name in _MEMBERS if name not in _OPTIONAL]
    missing = [name for name in names if not isinstance(found, dict) or name not in found]
    if not isinstance(found, dict) or missing:
        raise ExportsError(f"{path}: no export: its _metadata lacks {', '.join(missing)}", path=path)
    for name, (expected, fits) in _MEMBERS.items():
        if name in found and not fits(found[name]):
            told = f"_metadata.{name}: expected {expected}, it is {_shown(found[name])}"
            raise ExportsError(f"{path}: {told}", path=path)
    if not found["complete"] and "base_sequence" not in found:
        raise ExportsError(f"{path}: its _metadata lacks base_sequence, which every delta has", path=path)
    return found


def _shown(value: object, most: int = 60) -> str:
    text = "missing or null" if value is None else repr(value)
    return text if len(text) <= most else f"{text[:most]}…"


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_moment(value: object) -> bool:
    try:
        return dt.datetime.fromisoformat(cast(str, value)).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _is_date(value: object) -> bool:
    try:
        return bool(dt.date.fromisoformat(cast(str, value)))
    except (TypeError, ValueError):
        return value is None


_OPTIONAL = ("base_sequence", "session_date", "mode", "reset")
_MEMBERS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "consumer": ("a text", lambda value: isinstance(value, str)),
    "sequence": ("a whole number from 1", lambda value: _is_count(value) and cast(int, value) < 1 << 63),
    "complete": ("true or false", lambda value: isinstance(value, bool)),
    "generated_at": ("an instant with its offset from UTC", _is_moment),
    "base_sequence": ("a whole number from 1, or null", lambda value: value is None or _is_count(value)),
    "session_date": ("a date, or null", _is_date),
    "mode": ("a text, or null", lambda value: isinstance(value, str | None)),
    "reset": ("true, false or null", lambda value: isinstance(value, bool | None)),
}


def _first_member(path: Path) -> Any:
    """Return the first member of a JSON object, which is ``_metadata``, without reading all of the file."""
    decoder = json.JSONDecoder()
    size = _FIRST_BYTES
    while size <= _MOST_BYTES:
        try:
            with _open(path) as file:
                head = file.read(size)
        except (OSError, EOFError, ValueError) as error:
            raise ExportsError(f"{path}: cannot be read: {error}", path=path) from error
        text = head.decode("utf-8", errors="replace")
        begin = text.find("{", text.find('"_metadata"'))
        try:
            return decoder.raw_decode(text, begin)[0] if '"_metadata"' in text else None
        except json.JSONDecodeError as error:
            if len(head) < size:
                raise ExportsError(f"{path}: not a whole JSON export: {error}", path=path) from error
        size *= 8
    raise ExportsError(f"{path}: its _metadata does not end within {_MOST_BYTES:,} bytes", path=path)


def _open(path: Path) -> IO[bytes]:
    if path.name.endswith(".gz"):
        return cast(IO[bytes], gzip.open(path, "rb"))
    if path.name.endswith(".zst"):
        try:
            import zstandard
        except ImportError:
            raise ExportsError(
                f"{path}: .zst needs the zstandard package, which is not installed",
                path=path,
                hint="pip install 'mismartera[zstd]'",
            ) from None
        return cast(IO[bytes], zstandard.open(path, "rb"))
    return path.open("rb")


def _object(path: Path, text: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ExportsError(f"{path}: not JSON: {error}", path=path) from error
    if not isinstance(document, dict):
        raise ExportsError(f"{path}: holds no JSON object", path=path)
    return document
