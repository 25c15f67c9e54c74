"""The files inside a file: itself, what gzip holds, each member of a zip."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from mismartera.schemas.errors import ImportDataError


def open_members(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    """Open a plain or gzipped file, or each member of a zip, by what it is and not by its name.

    Yields
    ------
    label : str
        Path of the file, and of a member of a zip of several ``path:member``.
    stream : binary file
    """
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic[:2] == b"\x1f\x8b":
            with gzip.open(file) as unzipped:
                yield str(path), cast(BinaryIO, unzipped)
        elif magic[:2] == b"PK":
            with zipfile.ZipFile(file) as archive:
                members = [name for name in sorted(archive.namelist()) if _is_data(name)]
                if not members:
                    raise ImportDataError(f"{path}: the zip holds no file", path=path)
                for name in members:
                    with archive.open(name) as member:
                        yield str(path) if len(members) == 1 else f"{path}:{name}", cast(BinaryIO, member)
        else:
            yield str(path), file


def _is_data(member: str) -> bool:
    return not member.endswith("/") and not member.startswith("__MACOSX/") and member.rpartition("/")[2][:1] != "."


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what goes wrong when a file is read or unpacked into `ImportDataError`."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ImportDataError(
            f"{path}: truncated or damaged: {error}", path=path, hint="fetch the file again; importing again is safe"
        ) from error
    except OSError as error:
        raise ImportDataError(f"{path}: cannot be read: {error.strerror or error}", path=path) from error
