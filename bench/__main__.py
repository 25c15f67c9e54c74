"""`python -m bench [NAME…]`: run the benchmarks and print their tables."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from .timing import CONSOLE

NAMES = ("session", "steps", "memory", "exports", "concurrent", "sql")


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure, and set each figure by its target.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which to run, of {', '.join(NAMES)}; default: all")
    parser.add_argument("--strict", action="store_true", help="exit with code 1 if a target was missed")
    parser.add_argument("--table", choices=NAMES, help="run this one in this very process, and print its table alone")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}: expected some of {', '.join(NAMES)}")
    if options.table:
        return 0 if importlib.import_module(f".{options.table}", __package__).run() else 1
    CONSOLE.print(_machine())
    CONSOLE.print()
    passed = [_run_apart(name) for name in options.names or NAMES]
    return 1 if options.strict and not all(passed) else 0


def _run_apart(name: str) -> bool:
    """Run one benchmark in a process of its own, so that none finds the heap another left; return whether it passed."""
    sys.stdout.flush()
    return subprocess.run([sys.executable, "-m", "bench", "--table", name], check=False).returncode == 0


def _machine() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("polars", "pyarrow", "numpy", "mismartera"))
    return (
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {platform.system()} {platform.release()}; "
        f"Python {platform.python_version()}, {versions}\n"
        f"command: python -m bench {' '.join(sys.argv[1:])}".rstrip()
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())
