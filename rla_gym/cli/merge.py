"""`rla-gym merge`: join recorded data sets of one task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True, kw_only=True)
class Merge:
    """Join data sets of one task into one, without compressing frames again; a second call returns at once."""

    data: tyro.conf.Positional[tuple[Path, ...]]
    """Two or more data sets: folders that `collect` wrote, or .hdf5 files that `rla_gym.data.write_dataset` wrote."""
    out: Path
    """Folder of the data set."""

    def run(self) -> None:
        """Merge and print what came out."""
        from rla_gym.data.merge import merge

        merge(self.data, self.out)
