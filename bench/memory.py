"""Peak memory of a session, in a process of its own, against the Arrow bytes it must hold."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from mismartera.engine.state.staging import StagedDay
from mismartera.engine.system.system_manager import SystemManager
from mismartera.engine.threads.data_processor import DataProcessor
from mismartera.engine.time.calendar import TradingSession

from .setup import MONDAY, catalog, config
from .timing import Figure, Row, show

SYMBOLS = 500
RUNS = 5
_MB = 2**20


def run() -> bool:
    """Measure, print, and return whether the targets were met."""
    with catalog(SYMBOLS) as source, catalog(2, MONDAY, MONDAY) as tiny:
        runs = [_child(source.root, tiny.root) for _ in range(RUNS)]
    base, peak, staged = (Figure(tuple(float(each[name]) for each in runs)) for name in ("base", "peak", "staged"))
    over = Figure(tuple((each["peak"] - each["base"]) / each["staged"] for each in runs))
    rows = [
        Row("interpreter: all imported, a 2-symbol session run and gone", base.text(1 / _MB, 1, "MB")),
        Row("staged Arrow bytes held at once, at most", staged.text(1 / _MB, 1, "MB")),
        Row("peak of the process", peak.text(1 / _MB, 1, "MB")),
        Row("(peak - interpreter) / staged", over.text(), "under 3", over.median < 3),
    ]
    return show(
        f"Memory: {SYMBOLS} symbols × 5 sessions, one prefetched",
        rows,
        [
            "interpreter: VmRSS after the small session; peak: VmHWM at the end of the large one, same process",
            "staged: the distinct Arrow buffers of two days in a row, the one that streams and the one prefetched",
            f"median of {RUNS} fresh processes; no history is kept, so a day is free to go once the next one is loaded",
        ],
    )


def _child(root: Path, tiny: Path) -> dict[str, int]:
    command = [sys.executable, "-m", "bench.memory", str(root), str(tiny)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).resolve().parents[1])
    figures: dict[str, int] = json.loads(done.stdout)
    return figures


def _measure(root: str, tiny: str) -> dict[str, int]:
    SystemManager(config(2, MONDAY, MONDAY), tiny).run()
    gc.collect()
    base = _status("VmRSS")
    held = _Held()
    DataProcessor.load_queue = held.watching(DataProcessor.load_queue)  # type: ignore[method-assign]
    SystemManager(config(SYMBOLS), root).run()
    return {"base": base, "peak": _status("VmHWM"), "staged": held.most}


class _Held:
    """The most bytes that days in a row hold: the one that streams and the one prefetched behind it."""

    def __init__(self) -> None:
        self._buffers: list[dict[int, int]] = []

    def watching(self, load_queue: Callable[..., StagedDay]) -> Callable[..., StagedDay]:
        def staged(processor: DataProcessor, session: TradingSession) -> StagedDay:
            day = load_queue(processor, session)
            batches = [kind.segment.batch for kind in day.kinds.values()]
            columns = [column for batch in batches for column in batch.columns]
            self._buffers.append({part.address: part.size for column in columns for part in column.buffers() if part})
            return day

        return staged

    @property
    def most(self) -> int:
        pairs = zip(self._buffers, self._buffers[1:], strict=False)
        return max(sum((first | second).values()) for first, second in pairs)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    print(json.dumps(_measure(*sys.argv[1:])))
