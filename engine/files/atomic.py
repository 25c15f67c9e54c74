"""`Draft`: a file or folder written beside its target, and given its name once it is whole and on disk."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .partial import ASIDE, sweep, unused_name

REPLACING = threading.Lock()
"""Held while a folder's name is given to another one, and by readers that check what is there."""

_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


@dataclass(frozen=True, slots=True)
class Draft:
    """A file or folder that is not published yet.

    Attributes
    ----------
    path : Path
        Where it is written: a hidden name beside the target, which nobody else has.
    """

    path: Path

    def publish(self, target: Path, *, replace: bool = True, suffix: str | None = None) -> Path:
        """Give the draft its name, and make the rename durable.

        Parameters
        ----------
        target : Path
        replace : bool
            Whether what is there is replaced; else the draft takes the first free name with ``_2``, ``_3``, …
        suffix : str, optional
            The end of the name, behind such a number; by default the last suffix.

        Returns
        -------
        Path
            The name it was given.

        Raises
        ------
        OSError
            If it could not be renamed or made durable: what was there stays, and a free name is free again.

        Notes
        -----
        The files in the draft are on disk already (`sync`). Replacing a file is one rename. A folder that is replaced
        is moved aside first: a process killed in between leaves none under that name, and `sweep` puts it back.
        """
        is_new = not (replace and target.exists())
        if not replace:
            target = self._numbered(target, target.suffix if suffix is None else suffix)
        elif self.path.is_dir():
            self._replace_folder(target)
        else:
            os.replace(self.path, target)
        try:
            sync_folder(target.parent)
        except OSError:
            if is_new:
                _remove(target)
            raise
        return target

    def _numbered(self, target: Path, suffix: str) -> Path:
        """Take the first free name: a link and a rename onto a folder with files both fail where a name is taken."""
        take = os.rename if self.path.is_dir() else os.link
        stem = target.name.removesuffix(suffix)
        for number in itertools.count(1):
            candidate = target if number == 1 else target.with_name(f"{stem}_{number}{suffix}")
            try:
                take(self.path, candidate)
            except OSError as error:
                if error.errno not in _TAKEN:
                    raise
                continue
            return candidate
        raise AssertionError("the numbers do not end")

    def _replace_folder(self, target: Path) -> None:
        aside, is_there = unused_name(target, ASIDE), False
        try:
            with REPLACING:
                try:
                    _swap(self.path, target, aside)
                finally:
                    is_there = target.exists()  # else the old folder could not be moved back, and is kept
        except OSError as error:
            if error.errno in _TAKEN:
                raise OSError(error.errno, "another process wrote there at the same time") from error
            raise
        finally:
            if is_there:
                _remove(aside)


@contextmanager
def draft(target: Path) -> Iterator[Draft]:
    """Yield a draft beside `target`, in a folder that exists; removed at the end unless it was published.

    What processes that were killed left in that folder is removed first.
    """
    sweep(target.parent.resolve())
    made = Draft(unused_name(target))
    try:
        yield made
    finally:
        _remove(made.path)


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the target's place when the block ends without an error; its permissions stay."""
    with draft(target) as made:
        with made.path.open("xb") as file:
            yield file
            sync(file)
        if target.exists():
            made.path.chmod(stat.S_IMODE(target.stat().st_mode))
        made.publish(target)


def sync(file: BinaryIO) -> None:
    """Write a file through to disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make durable what was created or renamed in a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _swap(fresh: Path, target: Path, aside: Path) -> None:
    with suppress(FileNotFoundError):
        os.rename(target, aside)
    try:
        os.rename(fresh, target)
    except OSError:
        with suppress(FileNotFoundError):
            os.rename(aside, target)
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
