"""The optimisers of a run, whose state is saved by parameter name, as plain tensors.

"adamw" is AdamW for everything. "muon" is Muon (Jordan et al. 2024; torch's own) for the matrices of transformer
blocks, whose momentum it makes orthogonal, and AdamW for the rest: at the same number of samples it got further here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rla_gym.training.records import section

OPTIMIZERS = ("adamw", "muon")


@dataclass(frozen=True)
class Optimizing:
    """One optimiser and the parameters that it changes, by flat name, in its order."""

    names: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer


def make_optimizers(
    modules: dict[str, nn.Module], kind: str, lr: float, weight_decay: float, fused: bool
) -> list[Optimizing]:
    """Optimisers of `kind` that share all trained parameters among them; matrices alone decay."""
    named = {f"{key}/{name}": p for key, m in modules.items() for name, p in m.named_parameters() if p.requires_grad}
    made = []
    if kind == "muon":
        orthogonal = {name: p for name, p in named.items() if _is_block_matrix(name, p)}
        named = {name: p for name, p in named.items() if name not in orthogonal}
        if orthogonal:
            # Updates as large as AdamW's, so that one learning rate serves both.
            muon = torch.optim.Muon(
                list(orthogonal.values()), lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
            )
            made.append(Optimizing(orthogonal, muon))
    decayed = {name: p for name, p in named.items() if p.ndim >= 2}
    others = {name: p for name, p in named.items() if p.ndim < 2}
    groups: list[dict[str, Any]] = [
        {"params": list(decayed.values()), "weight_decay": weight_decay},
        {"params": list(others.values()), "weight_decay": 0.0},
    ]
    made.append(Optimizing({**decayed, **others}, torch.optim.AdamW(groups, lr=lr, fused=fused or None)))
    return made


def _is_block_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Attention and MLP weights of a block; modulation layers start at zero and have a role of their own."""
    return parameter.ndim == 2 and "blocks." in name and "modulation" not in name


def moments(optimizing: list[Optimizing]) -> dict[str, Tensor]:
    """The optimisers' step counts and moments, as `optimizer/<kind>/<parameter>`."""
    return {
        f"optimizer/{kind}/{name}": value
        for one in optimizing
        for name, parameter in one.names.items()
        for kind, value in one.optimizer.state.get(parameter, {}).items()
    }


def load_moments(optimizing: list[Optimizing], tensors: dict[str, Tensor]) -> None:
    """Puts back what `moments` gave; other entries of `tensors` are passed over."""
    saved = section(tensors, "optimizer")
    for one in optimizing:
        state: dict[int, dict[str, Tensor]] = {}
        order = {name: index for index, name in enumerate(one.names)}
        for flat, value in saved.items():
            kind, _, name = flat.partition("/")
            if name in order:
                state.setdefault(order[name], {})[kind] = value
        one.optimizer.load_state_dict({"state": state, "param_groups": one.optimizer.state_dict()["param_groups"]})
