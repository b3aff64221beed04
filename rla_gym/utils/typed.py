"""Values that JSON gave, checked against annotations: what is built has the types that its class declares."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

ADVICE = "write or fetch it again"
LARGEST = 2**63 - 1
"""Integers beyond 64 bits fit no tensor."""
SHOWN = 60
"""Characters of a wrong value that an error shows."""


def build(kind: Any, values: Any, where: str | Path, advice: str = ADVICE, at: str = "") -> Any:
    """An instance of the dataclass `kind` of what JSON gave, its nested dataclasses and tuples included.

    A missing entry takes its default where that is off (False, 0, None or empty): it is younger than the file.

    Args:
        values: a mapping of the fields.
        where: the file, which an error names.
        advice: what to do about it.
        at: path of `values` in the file, such as "flow".

    Raises:
        ValueError: unknown or missing entries, or a value of another type, all by their path, or one that `kind`
            refuses.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{where}: {at or 'it'} is {shown(values)}, expected an object of {kind.__name__}; {advice}")
    inner = f"{at}." if at else ""
    known = {entry.name: entry for entry in fields(kind) if entry.init}
    unknown = sorted(str(name) for name in set(values) - set(known))
    if unknown:
        raise ValueError(f"{where} has unknown entries {_listed(inner, unknown)}; it is of a newer version: {advice}")
    missing = sorted(name for name, entry in known.items() if name not in values and not _is_off(entry))
    if missing:
        raise ValueError(f"{where} lacks the entries {_listed(inner, missing)} of {kind.__name__}; {advice}")
    hints = _hints(kind)
    found = {name: check(hints[name], value, where, advice, inner + name) for name, value in values.items()}
    try:
        return kind(**found)
    except ValueError as error:
        raise ValueError(f"{where}: {at + ': ' if at else ''}{error}; {advice}") from error


def check(annotation: Any, value: Any, where: str | Path, advice: str = ADVICE, at: str = "") -> Any:
    """`value` as `annotation` declares it: lists become tuples, integers floats where floats are declared.

    Annotations: bool, int (no bool, 64 bits), float (finite), str, None, Any, Literal, unions, tuple[X, Y],
    tuple[X, ...], list[X], Mapping and dict of strings, and dataclasses. Arguments and errors as `build`.
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return value
    if is_dataclass(annotation):
        return build(annotation, value, where, advice, at)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        choices = [each for each in args if each is not type(None)]
        if len(choices) == 1:
            return check(choices[0], value, where, advice, at)
        for each in choices:
            try:
                return check(each, value, where, advice, at)
            except ValueError:
                continue
    elif origin is Literal:
        if any(type(value) is type(each) and value == each for each in args):
            return value
    elif origin is tuple and isinstance(value, list | tuple):
        if len(args) == 2 and args[1] is Ellipsis:
            args = (args[0],) * len(value)
        if len(args) == len(value):
            pairs = enumerate(zip(args, value, strict=True))
            return tuple(check(each, item, where, advice, f"{at}[{index}]") for index, (each, item) in pairs)
    elif origin is list and isinstance(value, list):
        return [check(args[0], item, where, advice, f"{at}[{index}]") for index, item in enumerate(value)]
    elif isinstance(origin or annotation, type) and issubclass(origin or annotation, Mapping):
        if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
            inner = args[1] if args else Any
            return {name: check(inner, item, where, advice, f"{at}.{name}") for name, item in value.items()}
    elif _is_plain(annotation, value):
        return float(value) if annotation is float else value
    raise ValueError(f"{where}: {at or 'it'} is {shown(value)}, expected {expected(annotation)}; {advice}")


def shown(value: Any) -> str:
    """`value` for an error, shortened."""
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value if not isinstance(value, list | tuple | str) else value[:SHOWN])
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def expected(annotation: Any) -> str:
    """An annotation in words."""
    origin, args = get_origin(annotation), get_args(annotation)
    words: dict[Any, str] = {
        bool: "true or false",
        int: "an integer of 64 bits",
        float: "a finite number",
        str: "a text",
        type(None): "null",
    }
    if annotation in words:
        return words[annotation]
    if origin in (Union, types.UnionType):
        return " or ".join(expected(each) for each in args)
    if origin is Literal:
        return "one of " + ", ".join(repr(each) for each in args)
    if origin is tuple and args[-1] is not Ellipsis:
        return f"a list of {len(args)}: " + ", ".join(expected(each) for each in args)
    if origin in (tuple, list):
        return f"a list, each entry {expected(args[0])}"
    return "an object"


def _is_plain(annotation: Any, value: Any) -> bool:
    if annotation is type(None):
        return value is None
    if annotation is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and abs(value) <= LARGEST if isinstance(value, int) else number and math.isfinite(value)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
    return annotation in (bool, str) and isinstance(value, annotation)


def _is_off(entry: Field[Any]) -> bool:
    if entry.default is not MISSING:
        return not entry.default
    return entry.default_factory is not MISSING and not entry.default_factory()


@lru_cache(maxsize=64)
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _listed(prefix: str, names: list[str]) -> str:
    return ", ".join(prefix + shown(name).strip("'") for name in names[:5]) + (", …" if len(names) > 5 else "")
