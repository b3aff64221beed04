"""AdamW whose state is saved by parameter name, as plain tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rla_gym.training.records import section


def make_optimizer(
    modules: dict[str, nn.Module], lr: float, weight_decay: float, fused: bool
) -> tuple[dict[str, nn.Parameter], torch.optim.AdamW]:
    """AdamW over all trained parameters, and those parameters by their flat name, in the optimiser's order."""
    named = {
        f"{key}/{name}": p
        for key, m in modules.items()
        for name, p in m.named_parameters()
        if p.requires_grad
    }
    decayed = {name: p for name, p in named.items() if p.ndim >= 2}
    others = {name: p for name, p in named.items() if p.ndim < 2}
    groups: list[dict[str, Any]] = [
        {"params": list(decayed.values()), "weight_decay": weight_decay},
        {"params": list(others.values()), "weight_decay": 0.0},
    ]
    return {**decayed, **others}, torch.optim.AdamW(groups, lr=lr, fused=fused or None)


def moments(optimizer: torch.optim.Optimizer, names: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """AdamW's step counts and moments, as `optimizer/<kind>/<parameter>`."""
    return {
        f"optimizer/{kind}/{name}": value
        for name, parameter in names.items()
        for kind, value in optimizer.state.get(parameter, {}).items()
    }


def load_moments(
    optimizer: torch.optim.Optimizer, names: dict[str, nn.Parameter], tensors: dict[str, Tensor]
) -> None:
    """Puts back what `moments` gave; other entries of `tensors` are passed over."""
    state: dict[int, dict[str, Tensor]] = {}
    order = {name: index for index, name in enumerate(names)}
    for flat, value in section(tensors, "optimizer").items():
        kind, _, name = flat.partition("/")
        state.setdefault(order[name], {})[kind] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
