"""What state.json of a training checkpoint says, checked alone and against the tensors beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from rla_gym.utils.digests import check_intact, read_object
from rla_gym.utils.files import sha256_file
from rla_gym.utils.tensors import check_file_inside, read_tensors
from rla_gym.utils.typed import build, check, shown

FORMAT = 1
STATE, TENSORS = "state.json", "state.safetensors"
ADVICE = "point latest.json beside that folder at another step_* folder, or train into another folder"


@dataclass(frozen=True)
class Description:
    """What a run was: settings of the loop, description of the trainable, number of processes."""

    loop: Mapping[str, Any]
    trainable: Mapping[str, Any]
    processes: int


@dataclass(frozen=True)
class StoredTensors:
    """The file of tensors that belongs to a state."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class SavedState:
    """Everything of a training checkpoint that is no tensor."""

    format: int
    step: int
    ema_updates: int
    metrics: Mapping[str, float | None]
    description: Description
    tensors: StoredTensors | None = None

    def __post_init__(self) -> None:
        if self.step < 1 or self.ema_updates != self.step:
            raise ValueError(
                f"step is {self.step} and ema_updates {self.ema_updates}, expected one number of 1 or more"
            )
        check(int, self.description.loop.get("steps"), "it", ADVICE, "description.loop.steps")
        if self.description.loop["steps"] < 1 or self.description.processes < 1:
            raise ValueError("description.loop.steps and description.processes must be at least 1")


def read_state(folder: Path) -> dict[str, Any]:
    """The state in a step_* folder, as it was written.

    Raises:
        FileNotFoundError: there is none.
        ValueError: another format, entries that cannot be, or content that was changed; the text has the entry.
    """
    place = folder / STATE
    state, intact = read_object(place)
    if state.get("format") != FORMAT or isinstance(state["format"], bool):
        found = shown(state.get("format"))
        raise ValueError(f"{folder} has training-state format {found}, this version reads {FORMAT}")
    build(SavedState, state, place, ADVICE)
    check_intact(place, intact, ADVICE)
    return state


def read_state_tensors(folder: Path, state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors that belong to `state`, on the CPU.

    Raises:
        FileNotFoundError: there are none.
        ValueError: tensors that are cut off, were changed, are not finite, or of another step.
    """
    path = folder / TENSORS
    check_file_inside(path, folder)
    tensors, _ = read_tensors(path, ADVICE)
    known = state.get("tensors")
    if known is not None and sha256_file(path) != known["sha256"]:
        raise ValueError(f"{path} has another SHA-256 than {folder / STATE} says: it was changed or damaged; {ADVICE}")
    for name, tensor in tensors.items():
        if name.startswith("optimizer/step/") and (tensor.numel() != 1 or float(tensor) != state["step"]):
            raise ValueError(
                f"{path}: {name!r} is {tensor.flatten()[:3].tolist()}, {folder / STATE} is of step {state['step']}; "
                f"{ADVICE}"
            )
    return tensors
