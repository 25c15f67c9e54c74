from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ALLOWED = ROOT / "engine" / "time"
FOLDERS = ("engine", "schemas", "sql", "cli")

# Written for code whose tokens stand one space apart, strings and comments left out.
CLOCKS = re.compile(
    r"\bdatetime \. (?:now|today)\b|\. utcnow\b|\bdate \. today\b"
    r"|\btime \. (?:time|time_ns|sleep|localtime|gmtime)\b|\bperf_counter|\bmonotonic(?:_ns)?\b"
    r"|^import time\b|^import .*, time\b|^from time import\b"
)
LEFT_OUT = {tokenize.COMMENT, tokenize.STRING, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}


def clocks_read(source: str) -> list[str]:
    """The statements of `source` that read a clock."""
    statements, current = [], list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
            statements.append(" ".join(current))
            current = []
        elif token.type not in LEFT_OUT:
            current.append(token.string)
    return [statement for statement in statements if CLOCKS.search(statement)]


def package_files() -> list[Path]:
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    files += sorted((ROOT / "mismartera").glob("*.py"))
    return [path for path in files if ALLOWED not in path.parents]


def test_nothing_outside_engine_time_reads_a_clock() -> None:
    files = package_files()
    assert ROOT / "mismartera" / "__init__.py" in files
    assert ROOT / "schemas" / "config.py" in files
    found = [f"{path.relative_to(ROOT)}: {statement}" for path in files for statement in clocks_read(path.read_text())]
    assert found == [], "ask TimeManager for the time, and its stopwatch() for durations"


@pytest.mark.parametrize(
    "line",
    [
        "x = datetime.now()",
        "x = dt.datetime.now(dt.UTC)",
        "x = dt.datetime.today()",
        "x = datetime.utcnow()",
        "x = dt.date.today()",
        "x = time.time()",
        "x = time . time_ns()",
        "time.sleep(1)",
        "x = perf_counter()",
        "x = time.monotonic()",
        "import time",
        "import os, time",
        "from time import perf_counter_ns",
        "def f():\n    import time\n",
    ],
)
def test_the_search_finds_a_clock(line: str) -> None:
    assert clocks_read(line) != []


@pytest.mark.parametrize(
    "line",
    [
        '"""Never datetime.now()."""',
        "x = 1  # not time.time()",
        "from mismartera.engine.time import clock",
        "from mismartera.engine.time.time_manager import TimeManager",
        "from .time import manager",
        "import datetime as dt",
        "x = dt.time(4)",
        "x = self.time_manager.now_us",
        "x = row.timestamp",
    ],
)
def test_the_search_leaves_the_rest_alone(line: str) -> None:
    assert clocks_read(line) == []
