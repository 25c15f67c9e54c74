"""Random examples come from a seed that is printed, in every worker."""

from __future__ import annotations

from hypothesis import core, given, settings
from hypothesis import strategies as st


def test_hypothesis_starts_from_the_seed_that_is_printed(pytestconfig):
    assert core.global_force_seed == int(pytestconfig.getoption("hypothesis_seed"))
    assert not settings.default.derandomize


def test_one_seed_gives_the_same_examples():
    drawn: list[int] = []

    @settings(max_examples=20)
    @given(st.integers())
    def draw(number):
        drawn.append(number)

    draw()
    draw()
    assert drawn[:20] == drawn[20:]
