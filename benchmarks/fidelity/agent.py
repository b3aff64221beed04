"""What an agent does that learned in the dream: it sees the dream, and its actions then drive simulator and models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.data import TokenStore
from rla_gym.dream.dream import Dream
from rla_gym.envs.spaces import observation_space, observe
from rla_gym.learning.evaluate import Predictor
from rla_gym.utils.optional import require

BLOCK = 64
"""Starts dreamed at a time."""


def load_agent(path: Path, bundle: Bundle) -> Predictor:
    """A PPO agent that SB3 saved.

    SB3's files hold pickles: load only agents that you trust.

    Raises:
        ValueError: it takes other observations than the checkpoint's "features", or other actions.
    """
    agent = require("stable_baselines3", extra="rl").PPO.load(path, device="cpu")
    found = agent.observation_space.shape, agent.action_space.shape
    wanted = observation_space(bundle, "features").shape, (bundle.config.chunk * bundle.config.action_size,)
    if found != wanted:
        raise ValueError(
            f"the agent in {path} takes observations and actions of shapes {found}, checkpoint "
            f"{bundle.config.name!r} has {wanted}: give an agent that was trained in its dream, on its features"
        )
    loaded: Predictor = agent
    return loaded


def agent_chunks(bundle: Bundle, agent: Predictor, store: TokenStore, rows: np.ndarray, chunks: int) -> np.ndarray:
    """Chunks (H, n, K, A) in [-1, 1] of the agent's mean actions from `rows` (H,); what it sees is dreamed."""
    config, blocks = bundle.config, []
    for block in np.split(rows, range(BLOCK, len(rows), BLOCK)):
        dream = Dream(bundle, len(block))
        state = dream.reset_to(store.normalized(block), torch.from_numpy(store.proprio[block]))
        done = []
        for _ in range(chunks):
            seen = observe(bundle, "features", state.tokens, state.proprio)
            actions = np.asarray(agent.predict(seen, deterministic=True)[0], np.float32)
            done.append(np.clip(actions, -1, 1).reshape(len(block), config.chunk, config.action_size))
            state = dream.step(done[-1])
        blocks.append(np.stack(done, axis=1))
    return np.concatenate(blocks)
