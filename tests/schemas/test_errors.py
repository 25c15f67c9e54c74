"""Errors: what a message holds, and that each is also the builtin it amounts to."""

from __future__ import annotations

import pytest

from mismartera.schemas import errors


@pytest.mark.parametrize(
    ("name", "available", "message"),
    [
        ("RIVM", ["RIVN", "AAPL"], "symbol 'RIVM' does not exist; did you mean 'RIVN'? (available: RIVN, AAPL)"),
        ("X", ["RIVN"], "symbol 'X' does not exist (available: RIVN)"),
        ("X", [], "symbol 'X' does not exist (there is no symbol at all)"),
        (
            "X",
            [f"S{number}" for number in range(14)],
            "symbol 'X' does not exist (available: S0, S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, S11, … 2 more)",
        ),
    ],
)
def test_unknown_name(name, available, message):
    error = errors.UnknownNameError("symbol", name, available)
    assert str(error) == message
    assert (error.kind, error.name, error.available) == ("symbol", name, available)


def test_every_error_has_one_root_and_a_builtin_beside_it():
    found = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, Exception)]
    for error in found:
        assert error.__name__.endswith("Error")
        assert issubclass(error, errors.MismarteraError)
        if error is not errors.MismarteraError:
            assert len(error.__bases__) == 2
            assert error.__bases__[1].__module__ == "builtins"


def test_an_error_of_the_file_system_kind_still_says_its_message():
    error = errors.CatalogError("no catalog at x", path="x", hint="import some bars")
    assert (str(error), error.path, error.hint) == ("no catalog at x", "x", "import some bars")
