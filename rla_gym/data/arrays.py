"""The arrays of an episode beside its frames: in which type each is kept, and what is converted to it."""

from __future__ import annotations

import numpy as np

DTYPES: dict[str, type[np.floating]] = {
    "actions": np.float32,
    "proprio": np.float32,
    "states": np.float64,
    "objects": np.float32,
    "rewards": np.float32,
}
"""The type in which data sets, token stores and checkpoints hold an array, whatever it was recorded in."""


def canonical(name: str, array: np.ndarray, where: str = "") -> np.ndarray:
    """`array` in the type of `DTYPES`; the same object where it is of that type.

    Floats of more digits are rounded to the nearest. All else has to be kept to the last digit.

    Args:
        name: of the array, a key of `DTYPES`.
        where: what the text of an error begins with, such as "demo_3".

    Raises:
        ValueError: values that are no real numbers, not finite, too large for the type, or integers that it rounds.
    """
    array, wanted, begin = np.asarray(array), np.dtype(DTYPES[name]), f"{where}: " if where else ""
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{begin}{name} are of type {array.dtype}, expected numbers: they are kept as {wanted}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = _first_row(~np.isfinite(array))
        raise ValueError(f"{begin}{name} hold NaN or infinite values, which are not finite, first in row {row}")
    if array.dtype == wanted:
        return array
    with np.errstate(over="ignore"):  # what overflows becomes infinite, which is refused below
        found = array.astype(wanted)
    lost = ~np.isfinite(found) if array.dtype.kind == "f" else found.astype(object) != array.astype(object)
    if lost.any():
        row = _first_row(lost)
        raise ValueError(
            f"{begin}{name} are {array.dtype} and kept as {wanted}, which cannot hold row {row} "
            f"({np.atleast_1d(array[row])[np.atleast_1d(lost[row])][0]}): scale them, or leave that column out"
        )
    return found


def _first_row(wrong: np.ndarray) -> int:
    return int(np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1))[0])
