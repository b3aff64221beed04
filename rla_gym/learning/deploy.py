"""A policy on the robot itself: camera frame and proprioception in, actions in the robot's units out."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.envs.spaces import OBS_MODES, Observation, checked_chunks, observation_space, observe
from rla_gym.utils.optional import require

ALGORITHMS = {"SAC": "target_entropy", "TD3": "policy_delay", "PPO": "clip_range", "A2C": "gae_lambda"}
"""Algorithms of Stable-Baselines3, and an entry of their files that those before do not have."""


class RobotPolicy:
    """What an agent learned in dreams, acting on real frames: exactly the observation that `RLAReal-v0` gives it.

    ```python
    policy = rla_gym.RobotPolicy("runs/mine", "runs/ppo/agent.zip")
    policy.reset()
    while running:
        for action in policy.act(camera(), joints()):  # K control steps, at the recorded control frequency
            robot.move(action)
    ```

    Args:
        ckpt: checkpoint folder, built-in name, hub id, or a loaded `Bundle`; it needs its encoder.
        agent: a file that an agent of Stable-Baselines3 saved (PPO, SAC, TD3 or A2C; it is unpickled: open only
            files that you trust), an agent itself, or a function of an observation, as `RLAReal-v0` gives it, to an
            action (K * A,) in [-1, 1].
        obs_mode: what a function takes; None: "features". Agents say it by their observation space.
        deterministic: whether an agent takes its mean action; else it draws one.
        device: where frames are encoded.

    Attributes:
        chunk: K, control steps of one call.

    Raises:
        FileNotFoundError: no such agent, or a checkpoint without encoder.
        ValueError: an agent whose observations or actions are not this checkpoint's.
    """

    def __init__(
        self,
        ckpt: str | Path | Bundle,
        agent: Any,
        obs_mode: str | None = None,
        deterministic: bool = True,
        device: str = "cpu",
    ) -> None:
        self.bundle = load_checkpoint(ckpt).to(device)
        self.device, self.deterministic = self.bundle.device, deterministic
        self.agent = load_agent(agent) if isinstance(agent, str | Path) else agent
        config = self.bundle.config
        if hasattr(self.agent, "predict"):
            self.obs_mode = self._mode_of(self.agent.observation_space)
            size = int(np.prod(self.agent.action_space.shape))
            if size % config.action_size:
                raise ValueError(
                    f"the agent's actions have {size} numbers, no multiple of the {config.action_size} that "
                    f"{config.name!r} takes a control step: it was trained with another checkpoint"
                )
            self.chunk = size // config.action_size
        elif callable(self.agent):
            self.obs_mode, self.chunk = obs_mode or "features", config.chunk
            observation_space(self.bundle, self.obs_mode)  # refuses an unknown one
        else:
            raise ValueError(f"agent={agent!r}: expected a file, an agent with `predict`, or a function")
        if self.obs_mode != "pixels":
            _ = self.bundle.encoder  # what is missing is told now, not when the robot runs
        self.reset()

    def reset(self) -> None:
        """Begin a new episode: a recurrent agent forgets the last one."""
        self._state: Any = None
        self._first = True

    def observe(self, frame: np.ndarray, proprio: np.ndarray | None = None) -> Observation:
        """The observation of one camera frame and proprioception, as `act` makes it; errors as of `act`."""
        frame, felt = self._frame(frame), self._proprio(proprio)
        tokens = None if self.obs_mode == "pixels" else self.bundle.encode_frames(frame[None]).to(self.device)
        standardized = self.bundle.standardize_proprio(torch.from_numpy(felt[None]).to(self.device))
        batch = observe(self.bundle, self.obs_mode, tokens, standardized, frame[None])
        return {name: values[0] for name, values in batch.items()} if isinstance(batch, dict) else batch[0]

    def act(self, frame: np.ndarray, proprio: np.ndarray | None = None) -> np.ndarray:
        """The next K actions.

        Args:
            frame: (H, W, 3) uint8 RGB, from the recorded camera at the recorded size.
            proprio: (P,) in the recorded units; None for a checkpoint without any.

        Returns:
            (K, A) float32 in the robot's units, within the recorded bounds.

        Raises:
            ValueError: a frame or proprioception of another shape or type, or values that are not finite.
        """
        observation = self.observe(frame, proprio)
        if hasattr(self.agent, "predict"):
            action, self._state = self.agent.predict(
                observation,
                state=self._state,
                episode_start=np.array([self._first]),
                deterministic=self.deterministic,
            )
        else:
            action = self.agent(observation)
        self._first = False
        flat = np.asarray(action, np.float32).reshape(1, -1)
        chunk = checked_chunks(flat, 1, self.chunk, self.bundle.config.action_size)
        return self.bundle.unscale_actions(chunk)[0]

    def _mode_of(self, space: Any) -> str:
        """The observation mode whose space the agent was trained on."""
        for mode in OBS_MODES:
            if observation_space(self.bundle, mode) == space:
                return mode
        goals = " (it pursues goals, as those of RLAWorldGoal-v0: wrap it in a function that adds one)"
        raise ValueError(
            f"the agent observes {space}, which no obs_mode of checkpoint {self.bundle.config.name!r} gives"
            f"{goals if 'desired_goal' in getattr(space, 'spaces', ()) else ''}: give the checkpoint that it was "
            "trained with"
        )

    def _frame(self, frame: np.ndarray) -> np.ndarray:
        height, width = self.bundle.config.frame_size
        found = np.asarray(frame)
        if found.shape != (height, width, 3) or found.dtype != np.uint8:
            raise ValueError(
                f"frame of shape {found.shape} and dtype {found.dtype}: expected ({height}, {width}, 3) uint8, RGB as "
                "recorded; resize or convert the camera's"
            )
        return found

    def _proprio(self, proprio: np.ndarray | None) -> np.ndarray:
        size = self.bundle.config.proprio_size
        felt = np.zeros(0, np.float32) if proprio is None else np.asarray(proprio, np.float32)
        if felt.shape != (size,) or not np.isfinite(felt).all():
            raise ValueError(
                f"proprio of shape {felt.shape}{'' if np.isfinite(felt).all() else ' with NaN or infinite values'}: "
                f"expected ({size},) finite numbers in the recorded order and units"
            )
        return felt


def load_agent(path: str | Path) -> Any:
    """The agent that Stable-Baselines3 saved in a file, on the CPU. The file is unpickled: open only those you trust.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a file of PPO, SAC, TD3 or A2C.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no agent at {path}: expected a file that an agent of Stable-Baselines3 saved")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = set(json.loads(archive.read("data")))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ValueError(f"{path} is no file of a Stable-Baselines3 agent ({error})") from error
    name = next((name for name, entry in ALGORITHMS.items() if entry in entries), None)
    if name is None:
        raise ValueError(f"{path} is of none of {', '.join(ALGORITHMS)}: load it yourself and give the agent")
    return getattr(require("stable_baselines3", extra="rl"), name).load(path, device="cpu")
