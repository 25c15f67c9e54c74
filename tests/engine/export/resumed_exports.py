"""Takes a run up again in a process of its own, and exports what is new to the consumers that another one saved.

    python resumed_exports.py CATALOG OUT RUN_ID UNTIL

OUT holds a folder per consumer with its chain of deltas, what it saved, and, made by the last process, the complete
export of the same instant.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.config import parse_config

CONFIG = {
    "session_name": "Resumed run",
    "backtest_config": {"start_date": "2025-07-02", "end_date": "2025-07-03"},
    "session_data_config": {
        "symbols": ["A", "B/C"],
        "streams": ["1m"],
        "derived_intervals": ["5m"],
        "historical": {"data": [{"interval": "1m", "trailing_days": 1}, {"interval": "1d", "trailing_days": 2}]},
    },
}
CONSUMERS = {"default": {}, "panel": {"symbols": ["B/C"], "intervals": ["5m"]}}


def main(catalog: Path, out: Path, run_id: str, until: str) -> None:
    """Run to `until`, then go on with each consumer from where it was saved."""
    system = SystemManager(parse_config(CONFIG), catalog, run_id=run_id)
    system.run(until)
    for name, only in CONSUMERS.items():
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        saved = folder / "saved.json"
        if saved.exists():
            system.load_consumer(json.loads(saved.read_text()))
        elif only:
            system.register_consumer(name, **only)
        receipt = system.export_status(folder / "delta.json", complete=False, consumer=name)
        receipt.path.rename(folder / f"{receipt.sequence:03}.json")
        saved.write_text(json.dumps(system.save_consumer(name)))
        (folder / "complete.json").write_bytes(system.export(name, complete=True).to_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
