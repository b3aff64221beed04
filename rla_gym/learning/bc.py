"""Behaviour cloning of the demonstrations by the very network that PPO goes on with."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rla_gym.learning.config import DemoConfig
from rla_gym.learning.demonstrations import Demonstrations
from rla_gym.learning.kl_policy import SMALLEST_STD, AnchoredPolicy, Standardize
from rla_gym.learning.seeds import stream_seed
from rla_gym.utils.optional import require

PATIENCE = 60
"""Epochs without a better held-out error after which cloning stops."""
BATCH = 64


@dataclass(frozen=True)
class CloneResult:
    """How cloning went; errors are mean squared, of actions in [-1, 1]."""

    epochs: int
    best_epoch: int
    train_error: float
    held_out_error: float
    baseline_error: float
    """Of the mean chunk of the training demonstrations, on the held-out ones."""


def make_agent(config: DemoConfig, env: Any, demonstrations: Demonstrations, seed: int) -> Any:
    """SB3's PPO on `env` with an `AnchoredPolicy` whose inputs are standardised by the demonstrations.

    `seed` also seeds torch's global generator: SB3 samples actions from it.
    """
    ppo = require("stable_baselines3", extra="rl").PPO
    observations = demonstrations.observations
    agent = ppo(
        AnchoredPolicy,
        env,
        learning_rate=config.learning_rate,
        n_steps=config.n_steps,
        batch_size=min(config.batch_size, config.n_steps * env.num_envs),
        n_epochs=config.n_epochs,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_range,
        ent_coef=1.0,  # weighs the anchor's penalty, see AnchoredPolicy
        target_kl=config.target_kl,
        policy_kwargs={
            "net_arch": {"pi": list(config.hidden), "vf": list(config.hidden)},
            "log_std_init": config.log_std_init,
            "features_extractor_class": Standardize,
            "features_extractor_kwargs": {
                "mean": observations.mean(0).tolist(),
                "std": np.maximum(observations.std(0), SMALLEST_STD).tolist(),
            },
        },
        seed=stream_seed("agent", seed),
        device="cpu",
    )
    agent.policy.log_std.requires_grad_(config.learn_std)
    return agent


def held_out(count: int, share: float, seed: int) -> np.ndarray:
    """Demonstrations (k,) int64 of `count` to hold out: a `share`, at least one, drawn by `seed`."""
    size = max(1, round(share * count))
    order = np.random.Generator(np.random.Philox(key=stream_seed("agent", seed))).permutation(count)
    return np.sort(order[:size])


def clone(
    policy: Any, demonstrations: Demonstrations, config: DemoConfig, seed: int, tick: Callable[[], None] = lambda: None
) -> CloneResult:
    """Fit the policy's mean to the demonstrated chunks, in place; the value function is left as it is.

    AdamW on the mean squared error with noise on the inputs; stops when the error on held-out demonstrations has
    stopped falling and keeps the best. `tick` is called after each epoch.
    """
    generator = torch.Generator().manual_seed(stream_seed("agent", seed))
    test = torch.from_numpy(np.isin(demonstrations.episode, held_out(len(demonstrations), config.clone_held_out, seed)))
    seen, done = torch.from_numpy(demonstrations.observations), torch.from_numpy(demonstrations.chunks)
    inputs, targets = seen[~test], done[~test]
    scale = policy.features_extractor.std
    parameters = [*policy.mlp_extractor.policy_net.parameters(), *policy.action_net.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=config.clone_learning_rate, weight_decay=config.clone_weight_decay)
    best = CloneResult(0, 0, float("inf"), float("inf"), _error(targets.mean(0), done[test]))
    kept: dict[str, Any] = copy.deepcopy(policy.state_dict())
    for epoch in range(1, config.clone_epochs + 1):
        policy.set_training_mode(True)
        total = 0.0
        for rows in torch.randperm(len(inputs), generator=generator).split(BATCH):
            noise = config.clone_noise * torch.randn(len(rows), inputs.shape[1], generator=generator)
            loss = (policy.mean_chunk(inputs[rows] + noise * scale) - targets[rows]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(rows)
        with torch.no_grad():
            policy.set_training_mode(False)
            error = _error(policy.mean_chunk(seen[test]), done[test])
        tick()
        if error < best.held_out_error:
            best = CloneResult(epoch, epoch, total / len(inputs), error, best.baseline_error)
            kept = copy.deepcopy(policy.state_dict())
        elif epoch - best.best_epoch >= PATIENCE:
            break
    policy.load_state_dict(kept)
    return CloneResult(epoch, best.best_epoch, best.train_error, best.held_out_error, best.baseline_error)


def _error(predicted: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((predicted - wanted).square().mean())
