"""What options may be is declared once; what they are not is said in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from rla_gym.utils.checks import Count, Fraction, NonNegative, Positive, Whole, check_fields, checked, expanded


@pytest.mark.parametrize(
    ("value", "kind", "plain"),
    [
        (np.int64(3), Count, 3),
        (np.uint8(0), Whole, 0),
        (np.float32(0.5), Fraction, 0.5),
        (2, Positive, 2.0),
        (np.True_, bool, True),
        (None, Count | None, None),
        ("test", str | Sequence[int] | None, "test"),
        (np.array([1, 2]), str | Sequence[int] | None, (1, 2)),
        (range(3), str | Sequence[int] | None, (0, 1, 2)),
        ("bf16", Literal["no", "bf16"], "bf16"),
        (Path("a"), str | Path | None, Path("a")),
    ],
)
def test_what_fits_becomes_plain_python(value: Any, kind: Any, plain: Any) -> None:
    found = checked("x", value, kind)
    assert found == plain and type(found) is type(plain)


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ("2", Positive | None, "a positive number, or None"),
        (True, Count, "a whole number of at least 1"),
        (np.bool_(True), Count, "a whole number"),
        (2.5, Count, "a whole number"),
        (2.0, Whole, "a whole number of at least 0"),
        (1, bool, "True or False"),
        (float("nan"), float, "a finite number"),
        (float("inf"), NonNegative, "of at least 0"),
        (10**400, float, "a finite number"),
        (1j, float, "a finite number"),
        (1.5, Fraction, "from 0 to 1"),
        (0, str | Sequence[int] | None, "a text, or a list, each entry a whole number, or None"),
        ([1, "a"], str | Sequence[int] | None, "a list"),
        (7, str | Path | None, "a text, or a path, or None"),
        ("fp8", Literal["no", "bf16"], "one of 'no', 'bf16'"),
    ],
)
def test_what_does_not_fit_is_one_sentence(value: Any, kind: Any, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        checked("gamma", value, kind)
    text = str(caught.value)
    assert text.startswith(f"gamma={value!r}: expected ") and words in text and "\n" not in text


def test_fields_are_checked_and_converted() -> None:
    @dataclass(frozen=True)
    class Settings:
        count: int = 1
        factor: float = 1.0

        def __post_init__(self) -> None:
            check_fields(self)

    made = Settings(np.int32(3), 2)
    assert (made.count, made.factor) == (3, 2.0) and type(made.factor) is float
    with pytest.raises(ValueError, match="factor='x': expected a finite number"):
        Settings(factor="x")  # type: ignore[arg-type]


def test_home_folders_are_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/a") == tmp_path / "a" and expanded(Path("~/a")) == tmp_path / "a"
    assert expanded("a/~") == Path("a/~")
