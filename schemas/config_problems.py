"""The wording of what is wrong in a configuration: which field, the value it has, and what is allowed there.

What is allowed is read from the JSON Schema, so that messages, editors and validation cannot disagree.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import orjson
from pydantic_core import ErrorDetails, PydanticCustomError

Schema: TypeAlias = dict[str, Any]
Location: TypeAlias = tuple[int | str, ...]

_FIELD_PROBLEM = "field_problem"


def field_problem(path: Sequence[int | str], value: object, reason: str) -> PydanticCustomError:
    """Return an error for a validator to raise that points at a field below the one being validated.

    Parameters
    ----------
    path : sequence of int or str
        From the model being validated to the wrong field; empty for itself.
    value : object
        What the field holds.
    reason : str
        Why that cannot be, and what would do.
    """
    return PydanticCustomError(_FIELD_PROBLEM, "{reason}", {"path": tuple(path), "value": value, "reason": reason})


def problems(errors: Iterable[ErrorDetails], schema: Schema) -> list[str]:
    """Return one line per error, each naming the field, its value and what is allowed.

    Parameters
    ----------
    errors : iterable of dict
        From pydantic's `ValidationError.errors`.
    schema : dict
        JSON Schema of the validated model.
    """
    found = list(errors)
    inner = {tuple(error["loc"][:depth]) for error in found for depth in range(len(error["loc"]))}
    # A list with a wrong item is also reported as too short: the item says it all.
    return [_line(error, schema) for error in found if error["loc"] not in inner]


def _line(error: ErrorDetails, schema: Schema) -> str:
    location: Location = tuple(error["loc"])
    context = error.get("ctx", {})
    if error["type"] == _FIELD_PROBLEM:
        where = _dotted(location + tuple(context["path"]))
        state = "missing" if context["value"] is None else f"{_shown(context['value'])} is not allowed"
        return f"{where}: {state}; {context['reason']}"
    if error["type"] == "extra_forbidden":
        return f"{_dotted(location)}: unknown field{_siblings(location, schema)}"
    allowed = find(schema, location)
    expected = describe(allowed, schema) if allowed is not None else str(error["msg"])
    if error["type"] == "missing":
        return f"{_dotted(location)}: missing; expected {expected}"
    meant = _meant(error.get("input"), (allowed or {}).get("enum", ()))
    return f"{_dotted(location)}: {_shown(error.get('input'))} is not allowed; expected {expected}{meant}"


def _dotted(location: Location) -> str:
    return ".".join(map(str, location)) or "top level"


def _shown(value: object, most: int = 60) -> str:
    """Return a value as its JSON text, cut where it is long."""
    try:
        text = orjson.dumps(value, default=str).decode()
    except orjson.JSONEncodeError:  # such as an integer of more than 64 bits
        text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."


def _meant(value: object, names: Sequence[object]) -> str:
    known = {str(name).lower(): name for name in names}
    close = difflib.get_close_matches(str(value).lower(), known, n=1)
    return f"; did you mean {_shown(known[close[0]])}?" if close else ""


def _siblings(location: Location, schema: Schema) -> str:
    """Return what is allowed where an unknown field stands, the nearest name first."""
    model = find(schema, location[:-1]) or {}
    names = sorted(model.get("properties", {}))
    close = difflib.get_close_matches(str(location[-1]).lower(), names, n=1)
    meant = f"; did you mean {close[0]}?" if close else ";"
    return f"{meant} allowed here: {', '.join(names)}"


def find(schema: Schema, location: Location) -> Schema | None:
    """Return the part of a JSON Schema that holds for the value at `location`, or None where there is none."""
    here: Schema | None = _resolved(schema, schema)
    for step in location:
        if here is None:
            return None
        here = here.get("items") if isinstance(step, int) else _member(here, step)
        here = _resolved(here, schema) if here is not None else None
    return here


def _member(schema: Schema, name: str) -> Schema | None:
    found = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
    return found if isinstance(found, dict) else None


def _resolved(schema: Schema, root: Schema) -> Schema:
    """Follow a reference, and look through "or null"."""
    if "$ref" in schema:
        return _resolved(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    return _resolved(options[0], root) if len(options) == 1 else schema


def describe(schema: Schema, root: Schema) -> str:
    """Say in words what a JSON Schema allows.

    Examples
    --------
    >>> describe({"type": "integer", "minimum": 0, "maximum": 30}, {})
    'a whole number from 0 to 30'
    >>> describe({"enum": ["backtest", "live"]}, {})
    'one of "backtest", "live"'
    """
    schema = _resolved(schema, root)
    if "enum" in schema:
        return "one of " + ", ".join(map(_shown, schema["enum"])) if len(schema["enum"]) > 1 else schema["enum"][0]
    if "anyOf" in schema:
        options = " or ".join(_option(option, root) for option in schema["anyOf"])
        examples = ", ".join(map(_shown, schema.get("examples", ())))
        return options + (f", such as {examples}" if examples else "")
    word = _WORDS.get(schema.get("type", ""))
    return word(schema, root) if word else "something else"


def _option(schema: Schema, root: Schema) -> str:
    unit = f" ({schema['description']})" if "description" in schema else ""
    return describe(schema, root) + unit


def _number(noun: str) -> Callable[[Schema, Schema], str]:
    def say(schema: Schema, root: Schema) -> str:
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is not None and high is not None:
            return f"{noun} from {low} to {high}"
        return f"{noun} of {low} or more" if low is not None else noun

    return say


def _text(schema: Schema, root: Schema) -> str:
    if schema.get("format") == "date":
        return 'a date such as "2025-07-01"'
    low, high = schema.get("minLength"), schema.get("maxLength")
    return "a text" if low is None and high is None else f"a text of {low or 0} to {high} characters"


def _list(schema: Schema, root: Schema) -> str:
    least = f" of at least {schema['minItems']}" if "minItems" in schema else ""
    return f"a list{least}, each {describe(schema.get('items', {}), root)}"


def _object(schema: Schema, root: Schema) -> str:
    inner = schema.get("additionalProperties")
    if isinstance(inner, dict):
        return f"an object of names, each with {describe(inner, root)}"
    required = schema.get("required", ())
    optional = ", ".join(name for name in schema.get("properties", {}) if name not in required)
    if not required:
        return f"an object that may hold {optional}"
    return f"an object with {', '.join(required)}" + (f" and optionally {optional}" if optional else "")


_WORDS: dict[str, Callable[[Schema, Schema], str]] = {
    "array": _list,
    "boolean": lambda schema, root: "true or false",
    "integer": _number("a whole number"),
    "number": _number("a number"),
    "object": _object,
    "string": _text,
}
