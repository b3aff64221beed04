"""Exponential moving average of a set of modules, in tensors of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def flat_state(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Parameters and persistent buffers of all modules, named `<module>/<name>`; the tensors are the live ones."""
    return {f"{key}/{name}": tensor for key, module in modules.items() for name, tensor in module.state_dict().items()}


class Ema:
    """Averaged weights. Parameters are averaged; buffers (statistics, counters) are copied as they are.

    The decay of update n (0 for the first) is min(decay, (1 + n) / (10 + n)), so that early averages forget the
    random initialisation. With decay 0 the average equals the weights.

    Args:
        modules: the trained modules by name.
        decay: the highest decay, in [0, 1).
    """

    def __init__(self, modules: Mapping[str, nn.Module], decay: float) -> None:
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"the decay of the moving average must lie in [0, 1), not {decay}; 0 switches it off")
        self.decay = decay
        self.updates = 0
        self.modules = dict(modules)
        self.shadow = {name: tensor.detach().clone() for name, tensor in flat_state(self.modules).items()}
        averaged = {f"{key}/{name}" for key, module in self.modules.items() for name, _ in module.named_parameters()}
        self._averaged = [
            name for name, tensor in self.shadow.items() if name in averaged and tensor.is_floating_point()
        ]
        self._copied = [name for name in self.shadow if name not in set(self._averaged)]

    @torch.no_grad()
    def update(self) -> None:
        """Takes the present weights into the average."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        live = flat_state(self.modules)
        if self._averaged:
            torch._foreach_lerp_(
                [self.shadow[name] for name in self._averaged],
                [live[name] for name in self._averaged],
                1.0 - decay,
            )
        for name in self._copied:
            self.shadow[name].copy_(live[name])

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor], updates: int) -> None:
        """Takes over a saved average and its number of updates."""
        if set(state) != set(self.shadow):
            raise KeyError(
                "the saved average and the modules name different tensors: "
                f"{sorted(set(state) ^ set(self.shadow))[:8]}; "
                "resume with the model configuration the run was started with"
            )
        for name, tensor in state.items():
            self.shadow[name].copy_(tensor)
        self.updates = updates

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """The modules hold the averaged weights inside the block, and exactly their own again after it."""
        live = flat_state(self.modules)
        kept = {name: tensor.detach().clone() for name, tensor in live.items()}
        with torch.no_grad():
            for name, tensor in live.items():
                tensor.copy_(self.shadow[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, tensor in live.items():
                    tensor.copy_(kept[name])
