"""One check of options: what each may be is declared once, by its annotation, and refused in one sentence.

    steps: Count | None = None         # a whole number of at least 1, or None
    temperature: NonNegative = 0.0     # a finite number of at least 0

Whole numbers may be any integer (also NumPy's), numbers any real one; True and False are neither.
"""

from __future__ import annotations

import math
import operator
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from os import PathLike
from os.path import expanduser
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np


@dataclass(frozen=True)
class Range:
    """Bounds of a number; those left out are open."""

    low: float = -math.inf
    """At least this."""
    above: float = -math.inf
    """More than this."""
    high: float = math.inf
    """At most this."""
    below: float = math.inf
    """Less than this."""

    def __contains__(self, value: float) -> bool:
        return bool(self.above < value < self.below and self.low <= value <= self.high)

    def __str__(self) -> str:
        if math.isfinite(self.low) and math.isfinite(self.high):
            return f"from {self.low:g} to {self.high:g}"
        parts = (("of at least", self.low), ("over", self.above), ("of at most", self.high), ("under", self.below))
        return " and ".join(f"{words} {bound:g}" for words, bound in parts if math.isfinite(bound))


Count = Annotated[int, Range(low=1)]
Whole = Annotated[int, Range(low=0)]
Positive = Annotated[float, Range(above=0)]
NonNegative = Annotated[float, Range(low=0)]
Fraction = Annotated[float, Range(low=0, high=1)]


def checked(name: str, value: Any, kind: Any) -> Any:
    """`value` as plain Python (NumPy's scalars become int, float and bool), if it is what `kind` says.

    Args:
        name: what errors call it, such as "gamma" or "--minutes".
        kind: an annotation of bool, int, float, str, `Literal`, a class, sequences of these, unions of these with None,
            or numbers with a `Range`.

    Raises:
        ValueError: it is something else; the text says what was expected.
    """
    for part in _parts(kind):
        try:
            return _convert(value, part)
        except (TypeError, OverflowError, ValueError):
            continue
    given = f"{name} {value}" if name.startswith("--") else f"{name}={value!r}"
    raise ValueError(f"{given}: expected {expected(kind)}")


def expected(kind: Any) -> str:
    """What `kind` allows, in words."""
    return ", or ".join(dict.fromkeys(_words(part) for part in _parts(kind)))


def check_fields(values: Any) -> None:
    """Check every field of a dataclass instance against its annotation, and keep what `checked` makes of it."""
    for name, kind in hints(type(values)).items():
        object.__setattr__(values, name, checked(name, getattr(values, name), kind))


def expanded(path: str | PathLike[str]) -> Path:
    """`path` with a leading `~` replaced by the home folder."""
    return Path(expanduser(path))


def hints(kind: type) -> Mapping[str, Any]:
    """Annotations of a dataclass's fields, with their ranges."""
    found = get_type_hints(kind, include_extras=True)
    return {entry.name: found[entry.name] for entry in fields(kind)}


def _parts(kind: Any) -> list[Any]:
    """The members of a union, those of nested ones too, None last."""
    if get_origin(kind) not in (Union, types.UnionType):
        return [kind]
    found = [part for member in get_args(kind) for part in _parts(member)]
    return sorted(found, key=lambda part: part is type(None))


def _convert(value: Any, kind: Any) -> Any:
    """`value` as a `kind` that is no union; any error where it is none."""
    bounds, origin = _bounds(kind), get_origin(kind)
    kind = get_args(kind)[0] if origin is Annotated else kind
    if kind is bool:
        return _of(value, isinstance(value, bool | np.bool_), bool)
    if kind is int:
        return _of(value, isinstance(value, Integral) and not isinstance(value, bool), operator.index, bounds)
    if kind is float:
        return _of(value, isinstance(value, Real) and not isinstance(value, bool), _finite, bounds)
    if origin is Literal:
        return _of(value, isinstance(value, str) and value in get_args(kind), str)
    if origin in (Sequence, tuple, list):
        (member, *_), listed = get_args(kind), isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
        return _of(value, listed, lambda values: tuple(_convert(entry, member) for entry in values))
    return _of(value, isinstance(value, origin or kind), lambda same: same)


def _of(value: Any, right: bool, convert: Callable[[Any], Any], bounds: Range | None = None) -> Any:
    if not right:
        raise TypeError
    converted = convert(value)
    if bounds is not None and converted not in bounds:
        raise ValueError
    return converted


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _bounds(kind: Any) -> Range | None:
    return next((part for part in getattr(kind, "__metadata__", ()) if isinstance(part, Range)), None)


def _words(kind: Any) -> str:
    bounds, origin = _bounds(kind), get_origin(kind)
    plain = get_args(kind)[0] if origin is Annotated else kind
    if plain in (int, float):
        text = "a whole number" if plain is int else "a finite number"
        if bounds == Range(above=0):
            return "a positive number"
        return text if bounds is None else f"{text} {bounds}"
    if origin is Literal:
        return f"one of {', '.join(map(repr, get_args(kind)))}"
    if origin in (Sequence, tuple, list):
        return f"a list, each entry {_words(get_args(kind)[0])}"
    names = {bool: "True or False", str: "a text", type(None): "None", Path: "a path"}
    return names.get(plain) or f"an instance of {getattr(plain, '__name__', plain)}"
