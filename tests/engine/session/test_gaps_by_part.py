"""Gaps of the session, of the sessions before it, and of both."""

from __future__ import annotations

from pathlib import Path

import pytest

from mismartera.schemas.errors import UnknownNameError
from tests.golden.small import make_system, minutes


def test_gaps_of_the_session_and_of_history(tmp_path: Path) -> None:
    before = minutes("A", "2024-07-02T09:30-04:00", 390, without=(10, 11, 389))
    today = minutes("A", "2024-07-03T09:30-04:00", 210, without=(0,))
    system = make_system(tmp_path, before + today, "2024-07-03", history=[("1m", 1), ("1d", 2)])
    system.run()
    data = system.session_data
    times = {
        part: [(gap.start_time.isoformat(), gap.bar_count) for gap in data.get_gaps("A", "1m", part=part)]
        for part in ("session", "historical", "all")
    }
    past = [("2024-07-02T09:40:00-04:00", 2), ("2024-07-02T15:59:00-04:00", 1)]
    assert times["historical"] == past
    assert times["session"] == [("2024-07-03T09:30:00-04:00", 1)]
    assert times["all"] == past + times["session"]
    daily = data.get_gaps("A", "1d", part="historical")
    assert [(gap.start_time.isoformat(), gap.bar_count) for gap in daily] == [("2024-07-01T00:00:00+00:00", 1)]
    with pytest.raises(UnknownNameError, match="part 'past' does not exist"):
        data.get_gaps("A", "1m", part="past")
