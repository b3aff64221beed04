"""Reference episodes of a checkpoint: what dreams start from and are rewarded against."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from rla_gym.utils.files import atomic_path

if TYPE_CHECKING:
    from rla_gym.data.tokens import TokenStore

PARTS = ("train", "validation", "test")
FILE_NAME = "episodes.safetensors"
STEP_NAME = "token_step"
AGAIN = "export or fetch the checkpoint again"
STORED: dict[str, tuple[int, tuple[torch.dtype, ...]]] = {
    "tokens": (3, (torch.float16, torch.int8)),
    "starts": (1, (torch.int64,)),
    "lengths": (1, (torch.int64,)),
    "actions": (2, (torch.float32,)),
    "proprio": (2, (torch.float32,)),
    "states": (2, (torch.float64, torch.float32)),
    "objects": (2, (torch.float32,)),
    "successes": (1, (torch.bool,)),
    "seeds": (1, (torch.int64,)),
    "parts": (1, (torch.int64,)),
}
"""Axes and types of the tensors in a file of references."""


@dataclass(frozen=True)
class References:
    """E episodes in a row; row `starts[e] + t` is frame t of episode e.

    Only tokens, actions and proprioception may reach a model; states and objects are for the simulator and for
    measuring.
    """

    tokens: Tensor
    """(N, L, C) float16, as stored by the token store, not standardised."""
    starts: Tensor
    """(E,) int64, first row of each episode."""
    lengths: Tensor
    """(E,) int64, frames of each episode."""
    actions: Tensor
    """(N, A) float32 of one control step each, in the task's own bounds; row r leads from row r to row r + 1."""
    proprio: Tensor
    """(N, P) float32, not standardised."""
    states: Tensor
    """(N, S) float64 simulator states, S = 0 where none were recorded."""
    objects: Tensor
    """(N, O) float32."""
    successes: Tensor
    """(E,) bool, whether the recorded episode reached the task's success."""
    seeds: Tensor
    """(E,) int64, the seed of the recorded episode."""
    parts: Tensor
    """(E,) int64, index into `PARTS` of the split that the episode belongs to."""

    def __post_init__(self) -> None:
        rows, episodes = len(self.tokens), len(self.starts)
        for name in ("actions", "proprio", "states", "objects"):
            if len(getattr(self, name)) != rows:
                raise ValueError(f"references: {name} has {len(getattr(self, name))} rows, the tokens have {rows}")
        for name in ("lengths", "successes", "seeds", "parts"):
            if len(getattr(self, name)) != episodes:
                raise ValueError(f"references: {name} has {len(getattr(self, name))} entries for {episodes} episodes")
        if not episodes or int((self.starts + self.lengths).max()) > rows or int(self.lengths.min()) < 2:
            raise ValueError(f"references: {episodes} episodes do not fit the {rows} rows, or one has under 2 frames")

    def __len__(self) -> int:
        """E, the number of episodes."""
        return len(self.starts)

    def to(self, device: str) -> References:
        """The same episodes with the tensors on `device`, the states excepted.

        The states are for the simulator, which runs on the CPU, and float64, which not every device has.
        """
        moved = copy.copy(self)  # not made anew: what was checked is not waited for on the device
        for field in fields(self):
            if field.name != "states":
                object.__setattr__(moved, field.name, getattr(self, field.name).to(device))
        return moved

    def rows(self, episodes: Tensor, frames: Tensor) -> Tensor:
        """Rows (B,) of frames (B,), clamped to each episode's last frame."""
        return self.starts[episodes] + torch.minimum(frames.clamp(min=0), self.lengths[episodes] - 1)

    def select(self, which: str | Sequence[int], successful: bool = True) -> np.ndarray:
        """Episodes (n,) int64 called `which`.

        Args:
            which: "train", "validation", "test", "all", or episode numbers.
            successful: leave out episodes whose recording did not reach success, unless none of all did, as of a task
                without a rule for it; explicit numbers are kept.

        Raises:
            ValueError: an unknown name or number, or nothing is left; the text has the counts.
        """
        if not isinstance(which, str):
            chosen = np.asarray(list(which), np.int64)
            if not len(chosen) or chosen.min() < 0 or chosen.max() >= len(self):
                raise ValueError(f"references={list(which)}: expected numbers from 0 to {len(self) - 1}")
            return chosen
        if which not in (*PARTS, "all"):
            raise ValueError(f"references={which!r}: expected one of {', '.join((*PARTS, 'all'))}, or episode numbers")
        keep = torch.ones_like(self.successes) if which == "all" else self.parts == PARTS.index(which)
        if successful and bool(self.successes.any()):
            keep = keep & self.successes
        if not bool(keep.any()):
            counts = {
                part: f"{int((self.parts == i).sum())} ({int(((self.parts == i) & self.successes).sum())} successful)"
                for i, part in enumerate(PARTS)
            }
            raise ValueError(
                f"no reference episode is left of references={which!r} with successful={successful}; the checkpoint "
                f"has {counts}: choose another part, or pass successful_references=False"
            )
        return np.flatnonzero(keep.cpu().numpy())

    @classmethod
    def from_store(cls, store: TokenStore, episodes: Sequence[int] | np.ndarray | None = None) -> References:
        """Copy `episodes` (ids) of a token store; their part is that of the store's split.

        None: all episodes in the store's order; their tokens stay on disk and are read as they are used.
        """
        whole = episodes is None
        episodes = np.arange(len(store.lengths)) if episodes is None else np.asarray(episodes, np.int64)
        rows = store.rows(episodes)
        lengths = store.lengths[episodes]
        parts = np.zeros(len(store.lengths), np.int64)
        for index, part in enumerate(PARTS):
            parts[store.split(part)] = index
        arrays = {
            # Mapped so that writing changes no file: torch warns of tensors on memory that is read only.
            "tokens": np.load(store.path / "tokens.npy", "c") if whole else store.tokens[rows],
            "starts": np.cumsum(lengths) - lengths,
            "lengths": lengths,
            "actions": store.actions[rows],
            "proprio": store.proprio[rows],
            "states": store.states[rows],
            "objects": store.objects[rows],
            "successes": store.successes[episodes],
            "seeds": store.seeds[episodes],
            "parts": parts[episodes],
        }
        return cls(**{name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()})

    def rounded(self) -> References:
        """The same with tokens that one byte a number can hold: `save` then takes half the room.

        Each channel's tokens become multiples of a power of two, at most 1/63 of the channel's largest.
        """
        step = _steps(self.tokens)
        return replace(self, tokens=((self.tokens.float() / step).round() * step).half())

    def save(self, path: str | Path) -> None:
        """Write one safetensors file, whole or not at all. Nothing is lost: tokens take one byte where they fit."""
        from safetensors.torch import save_file

        tensors = {field.name: getattr(self, field.name).contiguous() for field in fields(self)}
        step = _steps(self.tokens)
        multiples = (self.tokens.float() / step).round()
        if torch.equal((multiples * step).half(), self.tokens):
            tensors |= {"tokens": multiples.to(torch.int8), STEP_NAME: step}
        with atomic_path(path) as temporary:
            save_file(tensors, temporary)

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], place: Path) -> References:
        """References of the tensors that `save` wrote to `place`; one that lacks is a KeyError naming it."""
        missing = [field.name for field in fields(cls) if field.name not in tensors]
        if missing:
            raise KeyError(f"{place} lacks the tensors {', '.join(missing)}: {AGAIN}")
        extra = sorted(set(tensors) - {field.name for field in fields(cls)} - {STEP_NAME})
        if extra:
            raise ValueError(f"{place} has tensors that references have no place for: {', '.join(extra[:5])}; {AGAIN}")
        found = {field.name: tensors[field.name] for field in fields(cls)}
        for name, (axes, dtypes) in STORED.items():
            tensor = found[name]
            if tensor.ndim != axes or tensor.dtype not in dtypes:
                raise ValueError(
                    f"{place}: {name} is {tensor.dtype} of shape {tuple(tensor.shape)}, expected {axes} axes of "
                    f"{' or '.join(map(str, dtypes))}; {AGAIN}"
                )
        if found["tokens"].dtype == torch.int8:
            if STEP_NAME not in tensors:
                raise KeyError(f"{place} lacks the tensor {STEP_NAME}: {AGAIN}")
            step = tensors[STEP_NAME]
            if step.dtype != torch.float32 or step.shape != found["tokens"].shape[2:] or not bool((step > 0).all()):
                raise ValueError(
                    f"{place}: {STEP_NAME} is {step.dtype} of shape {tuple(step.shape)}, expected positive float32 of "
                    f"{tuple(found['tokens'].shape[2:])}; {AGAIN}"
                )
            found["tokens"] = (found["tokens"].float() * step).half()
        elif STEP_NAME in tensors:
            raise ValueError(f"{place} has a {STEP_NAME} for tokens that have none; {AGAIN}")
        lengths, parts = found["lengths"], found["parts"]
        if not torch.equal(found["starts"], lengths.cumsum(0) - lengths) or int(lengths.sum()) != len(found["tokens"]):
            raise ValueError(f"{place}: starts and lengths do not fit {len(found['tokens'])} rows of episodes; {AGAIN}")
        if not bool(((parts >= 0) & (parts < len(PARTS))).all()):
            raise ValueError(f"{place}: parts are not numbers of {', '.join(PARTS)}; {AGAIN}")
        if not bool(torch.isfinite(found["tokens"]).all()):
            raise ValueError(f"{place}: tokens are not finite; {AGAIN}")
        try:
            return cls(**found)
        except ValueError as error:
            raise ValueError(f"{place}: {error}; {AGAIN}") from error


def _steps(tokens: Tensor) -> Tensor:
    """Power of two (C,) float32 for each channel of tokens (N, L, C), at least 1/127 of the channel's largest."""
    largest = tokens.float().abs().amax(dim=(0, 1)).clamp(min=2.0**-14)
    return torch.exp2((largest / 127).log2().ceil())
