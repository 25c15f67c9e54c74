"""A symbol joins a session that streams: as if it had been there from the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.errors import StateError, UnknownNameError
from tests.golden.small import make_system, minutes

DAYS = ("2024-07-01T09:30-04:00", "2024-07-02T09:30-04:00", "2024-07-03T09:30-04:00")


def system(folder: Path) -> SystemManager:
    rows = [row for day in DAYS for symbol in ("A", "B", "C.X") for row in minutes(symbol, day, 30, without=(4,))]
    return make_system(folder, rows, "2024-07-02", "2024-07-03", symbols=["B", "A"], history=[("1m", 1), ("1d", 1)])


def state(made: SystemManager) -> object:
    return made.export(complete=True).to_json()["session_data"]


@pytest.mark.parametrize("where", ["hook", "analysis"])
@pytest.mark.parametrize("step", [1, 7, 395, 600])
def test_it_is_as_if_it_had_been_there_from_the_start(tmp_path: Path, where: str, step: int) -> None:
    made = system(tmp_path)
    steps = []

    def join(_: object) -> None:
        steps.append(1)
        if len(steps) == step:
            made.add_symbol("C.X")

    if where == "hook":
        made.hooks.stepped.append(join)
    else:
        made.add_analysis(join)
    made.run()
    whole = system(tmp_path / "other")
    whole.add_symbol("C.X")
    whole.run()
    assert state(made) == state(whole)
    assert made.quality_by_symbol()[0][0] in ("A", "B", "C.X")


def test_one_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"symbol 'D' does not exist .*available: A, B, C\.X"):
        system(tmp_path).add_symbol("D")


def test_after_the_end_none_joins(tmp_path: Path) -> None:
    made = system(tmp_path)
    made.run()
    with pytest.raises(StateError, match="joins before the start or while it runs"):
        made.add_symbol("C.X")
    made.add_symbol("A")  # is there already
