"""What the finished stages of a demo gave, kept until all of it is done, so that a killed run resumes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rla_gym.utils.files import atomic_path, check_readable, read_json, write_json

SETTINGS = "settings.json"
SUFFIX = ".safetensors"


class Kept:
    """A folder with one safetensors file a stage, each written whole; all belong to one set of settings.

    Args:
        folder: made at the first `save`.
        settings: JSON-able; what an earlier run with others left is removed.
        stages: names of all stages.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], stages: Iterable[str]) -> None:
        self.stages = tuple(stages)
        self.folder, self.settings = folder, json.loads(json.dumps(settings))
        self.other: list[str] = []
        """Settings in which an earlier run's differ, by name; its stages are not used."""
        place = folder / SETTINGS
        if place.is_file():
            found = read_json(place)
            names = sorted({*found, *self.settings})
            self.other = [name for name in names if found.get(name) != self.settings.get(name)]
            if self.other:
                self.remove()

    def load(self, name: str) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """JSON and tensors of the stage `name`; None where it has not finished, or its file is damaged.

        Raises:
            OSError: the file cannot be opened, which says nothing about what is in it.
        """
        path = self.folder / f"{name}{SUFFIX}"
        if not path.is_file():
            return None
        check_readable(path)
        try:
            with safe_open(path, "pt") as file:
                values = json.loads((file.metadata() or {})["values"])
                return values, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError, ValueError):
            return None  # half on disk after a power cut: the stage is done again

    def save(self, name: str, values: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> None:
        """Keep what the stage `name` gave."""
        if not (self.folder / SETTINGS).is_file():
            write_json(self.folder / SETTINGS, self.settings)
        owned = {key: tensor.detach().clone().contiguous() for key, tensor in (tensors or {}).items()}
        with atomic_path(self.folder / f"{name}{SUFFIX}") as temporary:
            save_file(owned, temporary, metadata={"values": json.dumps(values)})

    @property
    def files(self) -> list[Path]:
        """All files that it may write."""
        return [self.folder / SETTINGS, *(self.folder / f"{name}{SUFFIX}" for name in self.stages)]

    def remove(self) -> None:
        """Remove the files of all stages, and the folder if nothing else is in it."""
        for path in reversed(self.files):
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()
