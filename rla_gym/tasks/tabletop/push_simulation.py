"""Trying pushes out in a simulation apart from the task's own."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np

from rla_gym.tasks.offscreen import load_mujoco
from rla_gym.tasks.tabletop.base import CONTROL_HZ
from rla_gym.tasks.tabletop.scene import PUSHER_REACH
from rla_gym.utils.optional import require

_TIMESTEP = 0.01  # twice the task's: half the work, and pushes are tried for a choice, not for a record


class PushSimulation:
    """Rolls many straight pushes out from a task's present state, with a model and data of its own.

    Args:
        model: the tabletop task's ``mjModel``; it is copied.
    """

    def __init__(self, model: Any):
        mujoco = load_mujoco()
        self._rollout = require("mujoco.rollout", extra="mujoco").rollout
        self._model = copy(model)
        self._model.opt.timestep = _TIMESTEP
        self._data = mujoco.MjData(self._model)
        self._substeps = round(1.0 / (CONTROL_HZ * _TIMESTEP))

    def push(self, data: Any, starts: np.ndarray, moves: np.ndarray, steps: int) -> np.ndarray:
        """Poses of the block while the pusher's set-point travels on evenly.

        A pusher that starts elsewhere than the task's is put there at rest.

        Args:
            data: the task's ``mjData``, only read.
            starts: ``(B, 2)`` set-points at the start in metres.
            moves: ``(B, 2)`` travel of the set-point in metres a control step.
            steps: control steps to simulate.

        Returns:
            ``(B, steps, 3)`` block x, y and yaw after each control step.
        """
        count, nq = len(starts), self._model.nq
        initial = np.tile(np.concatenate([[0.0], data.qpos, data.qvel]), (count, 1))
        moved = np.any(starts != data.ctrl, axis=1)
        initial[moved, 4:6] = starts[moved]
        initial[moved, 1 + nq + 3 :] = 0.0
        travelled = np.arange(1, steps * self._substeps + 1)[:, None] / self._substeps
        controls = starts[:, None] + travelled * moves[:, None]
        np.clip(controls, -PUSHER_REACH, PUSHER_REACH, out=controls)
        states, _ = self._rollout(self._model, self._data, initial, controls)
        return states[:, self._substeps - 1 :: self._substeps, 1:4]
