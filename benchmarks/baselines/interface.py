"""What every world model of the comparison is asked: the state after a chunk of actions.

A state is tokens and proprioception, and whatever else a model carries from chunk to chunk (earlier frames, pixels, a
latent of its own), so that each is rolled out in its own form and judged by its tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from rla_gym.models.batch_invariance import WholeBlocks
from rla_gym.models.shapes import check_shape
from rla_gym.utils.keyed_rng import make_keys


@dataclass(frozen=True)
class State:
    """B episodes at one time.

    Attributes:
        tokens: (B, L, C) float32, standardised.
        proprio: (B, P) float32, standardised; None for a task without any.
        memory: what a model carries besides, each with B rows; empty where it needs nothing.
    """

    tokens: Tensor
    proprio: Tensor | None = None
    memory: Mapping[str, Tensor] = field(default_factory=dict)

    def repeat(self, n: int) -> State:
        """Every row `n` times in a row: row b becomes rows b·n to b·n + n - 1."""
        proprio = None if self.proprio is None else self.proprio.repeat_interleave(n, dim=0)
        memory = {name: value.repeat_interleave(n, dim=0) for name, value in self.memory.items()}
        return State(self.tokens.repeat_interleave(n, dim=0), proprio, memory)

    def to(self, device: torch.device) -> State:
        """The state on a device."""
        proprio = None if self.proprio is None else self.proprio.to(device)
        return State(self.tokens.to(device), proprio, {name: value.to(device) for name, value in self.memory.items()})

    def moved(self, tokens: Tensor, proprio: Tensor | None, **memory: Tensor) -> State:
        """The state after a step, with these entries of the memory replaced."""
        return replace(self, tokens=tokens, proprio=proprio, memory={**self.memory, **memory})


class WorldModel(ABC):
    """A trained world model.

    Attributes:
        name: as in results.
        stochastic: whether what it predicts depends on the keys.
        history: frames before the present one that it wants to see at the start.
        needs_frames: whether it wants to see the present frame's pixels at the start.
        slow: whether a chunk takes it many times as long as RLA-WM.
    """

    name: str = ""
    stochastic: bool = False
    history: int = 0
    needs_frames: bool = False
    slow: bool = False

    @abstractmethod
    def step(self, state: State, chunks: Tensor, keys: np.ndarray) -> State:
        """The model's own part of `predict`, unchecked."""

    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """Its trained networks by name, training-only ones included."""

    def predict(self, state: State, chunks: Tensor, keys: np.ndarray) -> State:
        """The state after a chunk.

        Row i is a function of row i of the state, of the chunks and of the keys alone; under autocast up to rounding.

        Args:
            state: B episodes, from `recorded.Recorded.start` or an earlier prediction.
            chunks: (B, K, A) float32 in [-1, 1].
            keys: (B, 3) uint64 of `rla_gym.utils.keyed_rng.make_keys`; a model that draws nothing ignores them.

        Raises:
            ValueError: shapes that do not fit each other or the model.
        """
        check_shape("chunks", chunks, (len(state.tokens), "actions", "action size"))
        if keys.shape != (len(state.tokens), 3):
            raise ValueError(f"keys have shape {keys.shape}, expected ({len(state.tokens)}, 3): see make_keys")
        # As the dream does it: in bf16 rows are rounded otherwise among others all the same, and blocks cost time.
        bf16 = torch.is_autocast_enabled(state.tokens.device.type)
        with torch.no_grad(), nullcontext() if bf16 else WholeBlocks():
            return self.step(state, chunks, keys)


def parameter_count(model: WorldModel) -> int:
    """Numbers trained for a model.

    RLA-WM: encoder and decoder of the autoencoder, and the flow. The others: all their networks. The frozen encoder of
    frames and the decoder of tokens to images are shared by all and not counted. Nor are principal components, which
    are measured, not trained: see `component_count`.
    """
    return sum(parameter.numel() for network in model.networks().values() for parameter in network.parameters())


def component_count(model: WorldModel) -> int:
    """Numbers of the principal components that a linear latent action has; a flow's copy of them is not counted."""
    components = getattr(model.networks().get("autoencoder"), "components", None)
    return 0 if components is None else components.numel()


def device_of(model: WorldModel) -> torch.device:
    """Where a model's networks are; the CPU for one without any."""
    found = (parameter.device for network in model.networks().values() for parameter in network.parameters())
    return next(found, torch.device("cpu"))


def rollout(model: WorldModel, state: State, chunks: Tensor, seeds: np.ndarray, samples: int = 1) -> Tensor:
    """Tokens after each of n chunks fed back: (B, S, n, L, C) float32.

    Args:
        state: of B episodes.
        chunks: (B, n, K, A).
        seeds: (B,) integers, one stream of noise each; sample s of row b has the key (seeds[b], s, step).
        samples: S; a model that draws nothing gives the same S times, computed once.
    """
    drawn = samples if model.stochastic else 1
    state, found = state.repeat(drawn), []
    seeds, numbers = np.repeat(np.asarray(seeds), drawn), np.tile(np.arange(drawn), len(chunks))
    for index, chunk in enumerate(chunks.repeat_interleave(drawn, dim=0).unbind(dim=1)):
        state = model.predict(state, chunk, make_keys(seeds, numbers, np.full(len(seeds), index)))
        found.append(state.tokens)
    tokens = torch.stack(found, dim=1).unflatten(0, (len(chunks), drawn))
    return tokens.expand(-1, samples, -1, -1, -1)
