"""What never changes in a data set: nothing can be learned of it, and where it is a mistake it is better seen early."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rla_gym.data.episodes import EpisodeDataset

NAMES = ("actions", "proprio")
LISTED = 6
"""Numbers that a note names one by one."""


@dataclass
class Constants:
    """Episodes looked at one after another: which show one frame only, and which columns kept their first value."""

    episodes: int = 0
    static: list[int] = field(default_factory=list)
    """Episodes whose frames are all the same."""
    first: dict[str, np.ndarray] = field(default_factory=dict)
    changed: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, arrays: dict[str, np.ndarray | None], static: bool) -> None:
        """Take in the next episode: arrays (T, n) of `NAMES`, and whether its video shows one frame only."""
        if static:
            self.static.append(self.episodes)
        self.episodes += 1
        for name, array in arrays.items():
            if array is not None and array.shape[1]:
                first = self.first.setdefault(name, array[0].copy())
                changed = self.changed.setdefault(name, np.zeros(len(first), bool))
                changed |= (array != first).any(axis=0)

    def note(self) -> str | None:
        """One line on what never changes; None where everything does."""
        found = []
        if self.static:
            found.append(
                f"{len(self.static)} of {self.episodes} videos show one frame only (episode{_listed(self.static)})"
            )
        for name, changed in self.changed.items():
            columns = np.flatnonzero(~changed).tolist()
            if columns:
                share = f"{len(columns)} of {len(changed)} columns"
                found.append(f"{share} of {name} never change (column{_listed(columns)})")
        return "; ".join(found) or None

    def report(self, where: str) -> None:
        """Print the note, if there is one, to stderr."""
        found = self.note()
        if found is not None:
            print(f"note: {where}: {found}", file=sys.stderr, flush=True)


def constants_of(dataset: EpisodeDataset) -> Constants:
    """What never changes in a data set; of most videos three frames are decoded."""
    found = Constants()
    for index in range(len(dataset)):
        arrays = dataset.arrays(index)
        found.add({name: arrays[name] for name in NAMES}, _is_static(dataset, index))
    return found


def same_frames(frames: np.ndarray) -> bool:
    """Whether frames (T, H, W, 3) are all the same."""
    return all(np.array_equal(frame, frames[0]) for frame in frames[1:])


def _is_static(dataset: EpisodeDataset, index: int) -> bool:
    length = int(dataset.lengths[index])
    first = dataset.frames(index, 0, 1)[0]
    few = all(np.array_equal(dataset.frames(index, at, at + 1)[0], first) for at in (length // 2, length - 1))
    return few and same_frames(dataset.frames(index))


def _listed(numbers: list[int]) -> str:
    more = ", ..." if len(numbers) > LISTED else ""
    return ("s " if len(numbers) > 1 else " ") + ", ".join(map(str, numbers[:LISTED])) + more
