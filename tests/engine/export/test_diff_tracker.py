"""DiffTracker: what changed, where, and that a difference applied gives the whole again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mismartera.engine.export.diff_tracker import DiffTracker

KEYS = st.sampled_from(["a", "b", "a/b", "m~n", "", "1m"])
LEAVES = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, 2.5]) | st.text(max_size=2)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396, as its own pseudocode has it."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


def exactly(value: Any) -> Any:
    """A form in which 1, 1.0 and True differ, as they do in JSON."""
    if isinstance(value, dict):
        return {key: exactly(inner) for key, inner in value.items()}
    return [exactly(inner) for inner in value] if isinstance(value, list) else (type(value), value)


def at(document: Any, pointer: str) -> Any:
    for token in pointer.split("/")[1:]:
        document = document[token.replace("~1", "/").replace("~0", "~")]
    return document


@pytest.mark.parametrize(
    ("last", "current", "diff", "paths"),
    [
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 2, "d": 4}}, {"b": {"d": 4}}, ["/b/d"]),
        ({"a": 1, "b": 2}, {"a": 1}, {"b": None}, ["/b"]),
        ({"a": {"b": 2}}, {"a": {}}, {"a": {"b": None}}, ["/a/b"]),
        ({}, {"a": {"b": 2}, "c": {}}, {"a": {"b": 2}, "c": {}}, ["/a", "/c"]),
        ({"a": [1, 2]}, {"a": [1, 2, 3]}, {"a": [1, 2, 3]}, ["/a"]),
        ({"a": {"b": 1}}, {"a": [1]}, {"a": [1]}, ["/a"]),
        ({"a": [{"b": 1}]}, {"a": [{"b": True}]}, {"a": [{"b": True}]}, ["/a"]),
        ({"a": 1}, {"a": 1.0}, {"a": 1.0}, ["/a"]),
        ({}, {"a": None}, {"a": None}, ["/a"]),
        ({"x/y": 1, "m~n": 1}, {"x/y": 2, "m~n": 2}, {"x/y": 2, "m~n": 2}, ["/m~0n", "/x~1y"]),
        ({"a": {"b": [1]}}, {"a": {"b": [1]}}, {}, []),
    ],
)
def test_a_difference_holds_what_changed_and_names_it(last, current, diff, paths):
    tracker = DiffTracker()
    tracker.update_snapshot(last)
    found = tracker.compute_diff(current)
    assert found == (diff, paths)
    assert exactly(found[0]) == exactly(diff)


def test_the_first_difference_and_the_one_after_a_reset_are_everything():
    tracker = DiffTracker()
    assert tracker.compute_diff({"a": {"b": 1}}) == ({"a": {"b": 1}}, ["/a"])
    tracker.update_snapshot({"a": {"b": 1}})
    assert tracker.compute_diff({"a": {"b": 1}}) == ({}, [])
    tracker.reset_snapshot()
    assert tracker.compute_diff({"a": {"b": 1}}) == ({"a": {"b": 1}}, ["/a"])


def test_comparing_keeps_nothing_until_told_to():
    tracker = DiffTracker()
    tracker.compute_diff({"a": 1})
    assert tracker.compute_diff({"a": 1}) == ({"a": 1}, ["/a"])


def test_what_is_kept_and_what_is_returned_are_copies():
    tracker, data = DiffTracker(), {"a": {"b": [1]}}
    tracker.update_snapshot(data)
    data["a"]["b"].append(2)
    diff, _ = tracker.compute_diff(data)
    assert diff == {"a": {"b": [1, 2]}}
    diff["a"]["b"].append(3)
    assert data == {"a": {"b": [1, 2]}}


@settings(deadline=None)
@given(OBJECTS, OBJECTS)
def test_applied_to_the_last_object_a_difference_gives_the_current_one(last, current):
    tracker = DiffTracker()
    tracker.update_snapshot(last)
    diff, paths = tracker.compute_diff(current)
    patched = merge_patch(without_nulls(last), diff)
    assert exactly(without_nulls(patched)) == exactly(without_nulls(current))
    assert paths == sorted(set(paths))
    for path in paths:
        at(diff, path)
    tracker.update_snapshot(current)
    assert tracker.compute_diff(current) == ({}, [])
