"""Forks processes that export into folders of their own without end, and kills each at a random moment.

    python killed_exports.py CATALOG OUT COUNT

A process of its own, so that what is forked has loaded everything and started no thread.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from mismartera.engine.export.formats.registry import FORMATS
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.config import parse_config

FORMS = list(FORMATS)
LATEST = "latest"
MOST_DELTAS = 10
WHOLE_EACH = 6  # exports from one delta that a complete export of the same instant follows to the next
CONFIG = {
    "session_name": "Killed run",
    "backtest_config": {"start_date": "2025-07-02", "end_date": "2025-07-02"},
    "session_data_config": {"symbols": ["A", "B/C"], "streams": ["1m"], "derived_intervals": ["5m"]},
}


def export_without_end(catalog: Path, folder: Path, ready: int) -> None:
    """Export at each step: a delta under a name of its own, and over one name again and again; completes in between."""
    system = SystemManager(parse_config(CONFIG), catalog)
    system.register_consumer(LATEST)
    count = 0

    def take() -> None:
        nonlocal count
        form = FORMS[count % len(FORMS)]
        system.export_status(folder=folder, form=form, complete=False)
        if count % WHOLE_EACH == 0:
            system.export_status(folder=folder, form=FORMS[-1 - count % len(FORMS)])
        os.write(ready, b"x")
        system.export_status(folder / f"{LATEST}.{form}", consumer=LATEST)
        count += 1

    system.hooks.stepped.append(lambda _: take())
    system.run()
    while True:
        take()


def main(catalog: Path, out: Path, count: int) -> None:
    """Kill so many exporting processes, each a moment after one of its first deltas."""
    SystemManager(parse_config(CONFIG), catalog)  # has the calendar loaded, once for all
    moments = random.Random(7)
    for number in range(count):
        heard, told = os.pipe()
        child = os.fork()
        if not child:
            try:
                export_without_end(catalog, out / f"{number:03d}", told)
            finally:
                os._exit(1)
        os.close(told)
        for _ in range(moments.randint(1, MOST_DELTAS)):
            os.read(heard, 1)
        time.sleep(moments.uniform(0.0, 0.02))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(heard)
        if not os.WIFSIGNALED(status):
            raise SystemExit(f"process {number} ended by itself")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
