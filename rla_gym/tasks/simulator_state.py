"""Reading and restoring the whole state of a MuJoCo simulation, so that a replay is exact."""

from __future__ import annotations

from typing import Any

import numpy as np

from rla_gym.tasks.offscreen import load_mujoco


class SimulatorState:
    """Reads and writes MuJoCo's integration state, which is everything that the next step depends on.

    That is time, positions, velocities, activations, controls, applied forces, mocap poses and the solver's
    warm start.

    Args:
        model: an ``mjModel``.
        data: its ``mjData``.
    """

    def __init__(self, model: Any, data: Any):
        self._mujoco = load_mujoco()
        self._model, self._data = model, data
        self._kind = self._mujoco.mjtState.mjSTATE_INTEGRATION
        self.size: int = self._mujoco.mj_stateSize(model, self._kind)

    def read(self) -> np.ndarray:
        """The present state, ``(size,)`` float64."""
        state = np.empty(self.size)
        self._mujoco.mj_getState(self._model, self._data, state, self._kind)
        return state

    def write(self, state: np.ndarray) -> None:
        """Restore ``state`` ``(size,)`` and the poses, contacts and sensors that follow from it."""
        self._mujoco.mj_setState(self._model, self._data, state, self._kind)
        self.refresh()

    def refresh(self) -> None:
        """Bring poses, contacts and sensors up to the present positions, without a trace in the dynamics.

        A simulation step ends with poses one substep older than its positions. After a refresh everything
        read from the simulation is a function of its state, the same when reached and when restored.
        """
        # mj_forward overwrites the warm start, which the next step begins from.
        warm_start = self._data.qacc_warmstart.copy()
        self._mujoco.mj_forward(self._model, self._data)
        self._data.qacc_warmstart[:] = warm_start


def checked_state(state: np.ndarray, size: int, task_name: str) -> np.ndarray:
    """Return ``state`` as float64.

    Raises:
        ValueError: it does not have ``size`` finite numbers.
    """
    array = np.asarray(state, dtype=np.float64)
    if array.shape != (size,) or not np.all(np.isfinite(array)):
        raise ValueError(
            f"{task_name} states are {size} finite numbers, got an array of shape {array.shape} with "
            f"{int(np.sum(~np.isfinite(array)))} NaN or infinite values; pass what get_state() gave, "
            "from the same task, options and library versions"
        )
    return array
