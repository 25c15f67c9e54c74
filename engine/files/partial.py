"""Partial files: hidden names that say which process writes them, so that those of killed processes are removed."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
from functools import lru_cache
from pathlib import Path

SUFFIX, ASIDE = ".part", ".old"
"""How the names end of what is being written, and of what it replaces while both have no name of their own."""


def prefix_of(path: Path) -> str:
    """Return how the name of a partial file or folder begins, beside the target `path`."""
    return f".{path.name}.{_host()}-{os.getpid()}."


def unused_name(path: Path, end: str = SUFFIX) -> Path:
    """Return a hidden name nobody has, beside the target `path`; what is made there has the rights the umask leaves."""
    return path.with_name(f"{prefix_of(path)}{secrets.token_hex(6)}{end}")


@lru_cache(maxsize=1024)
def sweep(folder: Path) -> None:
    """Remove what processes of this machine that are gone left partial in a folder; looked for once per folder.

    A process killed while it exports leaves such a file under a hidden name, never under an export's own. One killed
    while it replaced a folder may have left the old one alone, moved aside: that one gets its name back.
    """
    name = re.compile(rf"\.(.+)\.{re.escape(_host())}-(\d+)\.[^.]*(?:{re.escape(SUFFIX)}|{re.escape(ASIDE)})")
    for path in list(folder.iterdir()):
        found = name.fullmatch(path.name)
        if found and not _lives(int(found[2])):
            target = folder / found[1]
            if path.name.endswith(ASIDE) and not target.exists() and any(path.iterdir()):
                path.rename(target)
            elif path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", socket.gethostname())


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
