"""What JSON gave becomes what its class declares, or an error that names the entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from rla_gym.utils.typed import build, check


@dataclass(frozen=True)
class Inner:
    size: int
    switch: bool = False

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size is {self.size}, expected at least 1")


@dataclass(frozen=True)
class Outer:
    grid: tuple[int, int]
    names: tuple[str, ...]
    rate: float
    inner: Inner
    kind: Literal["a", "b"] = "a"
    maybe: Inner | None = None
    scales: Mapping[str, float] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)


GOOD: dict[str, Any] = {"grid": [2, 3], "names": ["x"], "rate": 2, "inner": {"size": 4}, "kind": "b"}


def test_nested_values_are_built() -> None:
    found = build(Outer, GOOD | {"scales": {"l2": 1}, "card": {"list": [1]}, "maybe": {"size": 1}}, "a.json")
    assert found == Outer((2, 3), ("x",), 2.0, Inner(4), "b", Inner(1), {"l2": 1.0}, {"list": [1]})
    assert isinstance(found.rate, float) and isinstance(found.scales["l2"], float)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"grid": [2]}, r"a.json: grid is \[2\], expected a list of 2: an integer of 64 bits"),
        ({"grid": [2, True]}, r"grid\[1\] is True, expected an integer"),
        ({"grid": [2, 2.0]}, r"grid\[1\] is 2.0, expected an integer"),
        ({"grid": [2, 2**64]}, r"grid\[1\] is an integer of 65 bits, expected an integer of 64 bits"),
        ({"names": "x"}, "names is 'x', expected a list, each entry a text"),
        ({"names": ["x", None]}, r"names\[1\] is None, expected a text"),
        ({"rate": float("nan")}, "rate is nan, expected a finite number"),
        ({"rate": 10**400}, "rate is an integer of 1329 bits, expected a finite number"),
        ({"rate": True}, "rate is True, expected a finite number"),
        ({"rate": "2"}, "rate is '2', expected a finite number"),
        ({"inner": None}, "inner is None, expected an object of Inner"),
        ({"inner": {"size": 0}}, "a.json: inner: size is 0, expected at least 1; fetch it"),
        ({"inner": {"size": 1, "switch": 1}}, "inner.switch is 1, expected true or false"),
        ({"inner": {"size": 1, "colour": 2}}, "a.json has unknown entries inner.colour"),
        ({"inner": {}}, "a.json lacks the entries inner.size of Inner; fetch it"),
        ({"kind": "c"}, "kind is 'c', expected one of 'a', 'b'"),
        ({"maybe": 3}, "maybe is 3, expected an object of Inner"),
        ({"scales": {"l2": "x" * 999}}, r"scales.l2 is 'x{59}…, expected a finite number"),
        ({"scales": []}, r"scales is \[\], expected an object"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build(Outer, GOOD | change, "a.json", "fetch it")


def test_only_switches_that_are_off_may_be_missing() -> None:
    with pytest.raises(ValueError, match="lacks the entries kind of Outer"):
        build(Outer, {name: value for name, value in GOOD.items() if name != "kind"}, "a.json")
    with pytest.raises(ValueError, match="a.json: it is 3, expected an object of Outer"):
        build(Outer, 3, "a.json")


def test_single_values_and_unions() -> None:
    assert check(tuple[float, ...], [1, 2.5], "a.json") == (1.0, 2.5)
    assert check(int | str, "x", "a.json") == "x" and check(list[int], [1], "a.json") == [1]
    with pytest.raises(ValueError, match="a.json: n is 2.5, expected an integer of 64 bits or a text"):
        check(int | str, 2.5, "a.json", at="n")
