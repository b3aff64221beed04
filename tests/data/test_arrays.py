"""Types of arrays: converted where nothing is lost but digits of a float, refused otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from rla_gym.data.arrays import DTYPES, canonical


@pytest.mark.parametrize("dtype", ["float16", "float64", ">f4", "int64", "uint8", "bool"])
def test_what_fits_is_converted(dtype: str) -> None:
    given = np.array([[0, 1], [1, 1]], dtype)
    for name, wanted in DTYPES.items():
        found = canonical(name, given)
        assert found.dtype == wanted and np.array_equal(found, given)
    own = np.ones((2, 2), np.float32)
    assert canonical("actions", own) is own


def test_floats_are_rounded() -> None:
    given = np.array([[0.1, 1e-50]])
    assert np.array_equal(canonical("proprio", given), given.astype(np.float32))
    assert np.array_equal(canonical("states", given), given)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("proprio", np.array([[1.0], [1e300]]), r"demo_3: proprio are float64 .* as float32, .*row 1 \(1e\+300\)"),
        ("actions", np.array([[0], [2**24 + 1]]), r"actions are int64 .*row 1 \(16777217\): scale them"),
        ("states", np.array([[2**63 + 1]], np.uint64), "states are uint64 and kept as float64"),
        ("objects", np.array([[1.0], [np.nan]], np.float16), "objects hold NaN .*row 1"),
        ("actions", np.array([[1j]]), "of type complex128, expected numbers"),
        ("actions", np.array([["left"]]), "expected numbers"),
        ("rewards", np.array([object()]), "of type object"),
    ],
)
def test_what_would_be_lost_is_refused(name: str, array: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        canonical(name, array, "demo_3")
