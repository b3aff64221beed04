"""The common part of the tabletop tasks: stepping, states, seeds and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic

import numpy as np

from rla_gym.tasks.offscreen import Camera, load_mujoco
from rla_gym.tasks.simulator_state import checked_state
from rla_gym.tasks.tabletop.scene import TABLE_HALF
from rla_gym.tasks.tabletop.simulation import DEFAULT_CAMERA, Simulation
from rla_gym.tasks.tabletop.variants import BlockT, Combination, ToolT
from rla_gym.tasks.task import Policy, TaskSpec, checked_action, unknown_demonstrator

STEP_LENGTH = 0.02
"""Pusher travel of an action of 1, in metres a control step."""

CONTROL_HZ = 10.0


class TabletopTask(Generic[ToolT, BlockT]):
    """A pusher moves one block to a target pose on a table.

    The action ``(2,)`` in [−1, 1] moves the pusher's set-point by up to 2 cm along x and y in 0.1 s;
    proprioception ``(4,)`` is the pusher's position in metres and its velocity in metres a second: it follows
    its set-point with a lag of up to 12 mm a moving axis, which neither a picture nor the position tells.
    Subclasses give the scenes, the success rule and the starting poses.

    A variant with several combinations of tool and block draws one from each reset's seed; its states end with the
    index of the combination, so that restoring one restores the scene as well.

    Args:
        name: registered name.
        variant: see :mod:`rla_gym.tasks.tabletop.variants`; it is part of ``spec.name``.
        combinations: of tools and blocks, at least one.
        scenes: MJCF of each.
        frame_size: ``(height, width)`` in pixels.
        max_steps: control steps of an episode.
        objects: names of the object state.
        camera: of the scene, or a viewpoint.
    """

    spec: TaskSpec
    demonstrators: tuple[str, ...] = ("expert", "play", "goal-blind", "interrupted")

    def __init__(
        self,
        name: str,
        variant: str,
        combinations: Sequence[Combination[ToolT, BlockT]],
        scenes: Sequence[str],
        frame_size: tuple[int, int],
        max_steps: int,
        objects: tuple[str, ...],
        camera: Camera = DEFAULT_CAMERA,
    ):
        self._mujoco = load_mujoco()
        self.spec = TaskSpec(
            name=f"{name}@{variant}" if variant else name,
            frame_size=frame_size,
            action_low=-np.ones(2, np.float32),
            action_high=np.ones(2, np.float32),
            proprio_size=4,
            proprio_names=("pusher_x", "pusher_y", "pusher_vx", "pusher_vy"),
            object_names=objects,
            control_hz=CONTROL_HZ,
            max_steps=max_steps,
        )
        self.combinations = tuple(combinations)
        self._simulations = [Simulation(xml, frame_size, camera) for xml in scenes]
        self._select(0)
        self._substeps = round(1.0 / (CONTROL_HZ * self.model.opt.timestep))

    def _select(self, index: int) -> None:
        """Go on in the scene of this combination."""
        self._index, self._simulation = index, self._simulations[index]
        self.model: Any = self._simulation.model
        self.data: Any = self._simulation.data

    @property
    def tool(self) -> ToolT:
        """The present tool."""
        return self.combinations[self._index].tool

    @property
    def block(self) -> BlockT:
        """The present block."""
        return self.combinations[self._index].block

    @property
    def reach(self) -> np.ndarray:
        """Least and greatest ``(x, y)`` that the pusher starts at and plays in, ``(2, 2)`` in metres."""
        return np.clip(self.model.actuator_ctrlrange.T, -TABLE_HALF, TABLE_HALF)

    @property
    def block_pose(self) -> np.ndarray:
        """Block ``(x, y, yaw)`` in metres and radians, float64."""
        return self.data.qpos[:3].copy()

    @property
    def pusher_position(self) -> np.ndarray:
        """Pusher ``(x, y)`` in metres, float64."""
        return self.data.qpos[3:5].copy()

    @property
    def target_pose(self) -> np.ndarray:
        """Target ``(x, y, yaw)`` in metres and radians, float64."""
        quaternion = self.data.mocap_quat[0]
        return np.array([*self.data.mocap_pos[0, :2], 2.0 * np.arctan2(quaternion[3], quaternion[0])])

    def place(self, block: np.ndarray, pusher: np.ndarray, target: np.ndarray) -> None:
        """Put everything at rest: block and target ``(x, y, yaw)``, pusher ``(x, y)``."""
        self._mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:3] = block
        self.data.qpos[3:5] = pusher
        self.data.ctrl[:] = pusher
        self.data.mocap_pos[0, :2] = target[:2]
        self.data.mocap_quat[0] = [np.cos(target[2] / 2), 0.0, 0.0, np.sin(target[2] / 2)]
        self._mujoco.mj_forward(self.model, self.data)

    def starting_poses(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw block, pusher and target poses of a new episode."""
        raise NotImplementedError(f"{type(self).__name__} has to say where its episodes start")

    def reset(self, seed: int) -> None:
        """Start a new episode; the same seed gives the same state."""
        if len(self._simulations) > 1:
            # A tag keeps this draw apart from that of the poses.
            self._select(int(np.random.default_rng([seed, 2]).integers(len(self._simulations))))
        self.place(*self.starting_poses(np.random.default_rng(seed)))

    def step(self, action: np.ndarray) -> None:
        """Move the pusher's set-point by ``action`` ``(2,)`` times 2 cm and simulate 0.1 s."""
        move = checked_action(action, self.spec) * STEP_LENGTH
        start = self.data.ctrl.copy()
        low, high = self.model.actuator_ctrlrange.T
        end = np.clip(start + move, low, high)
        # The set-point travels at constant speed: a jump would knock the block away instead of pushing it.
        for i in range(self._substeps):
            self.data.ctrl[:] = start + (end - start) * ((i + 1) / self._substeps)
            self._mujoco.mj_step(self.model, self.data)

    def render(self) -> np.ndarray:
        """The close camera's picture, ``(H, W, 3)`` uint8."""
        return self._simulation.frame()

    def proprioception(self) -> np.ndarray:
        """Pusher position in metres and velocity in metres a second, ``(4,)`` float32."""
        return np.concatenate([self.data.qpos[3:5], self.data.qvel[3:5]]).astype(np.float32)

    def get_state(self) -> np.ndarray:
        """MuJoCo's integration state ``(S,)`` float64: poses, velocities, controls, target, warm start.

        The index of the combination follows where there are several.
        """
        state = self._simulation.state.read()
        return state if len(self._simulations) == 1 else np.append(state, float(self._index))

    def set_state(self, state: np.ndarray) -> None:
        """Restore a state of :meth:`get_state`; a wrong size, NaN or an unknown combination is a ValueError."""
        several = len(self._simulations) > 1
        state = checked_state(state, self._simulation.state.size + several, self.spec.name)
        if several:
            index = state[-1]
            if index not in range(len(self._simulations)):
                raise ValueError(
                    f"{self.spec.name} states end with the number of one of {len(self._simulations)} combinations of "
                    f"tool and block, got {index:g}; pass what get_state() gave, from the same task"
                )
            self._select(int(index))
            state = state[:-1]
        self._simulation.state.write(state)

    def success(self) -> bool:
        """Whether the present state solves the task."""
        raise NotImplementedError(f"{type(self).__name__} has to state its success rule")

    def object_state(self) -> np.ndarray:
        """True state of the objects, ``(O,)`` float32, in the order of ``spec.object_names``."""
        raise NotImplementedError(f"{type(self).__name__} has to give the state of its objects")

    def demonstrator(self, kind: str, noise: float, seed: int) -> Policy:
        """A scripted policy: "expert", "play" (smooth random), "goal-blind" (pushes to hidden targets) or "interrupted"
        (such pushes, interrupted by random, straight or no motion)."""
        if kind not in self.demonstrators:
            raise unknown_demonstrator(self, kind)
        # A tag keeps its draws apart from those of a reset with the same seed.
        return self.policy(kind, noise, np.random.default_rng([seed, 1]))

    def policy(self, kind: str, noise: float, rng: np.random.Generator) -> Policy:
        """The scripted policy of one of :attr:`demonstrators`, drawing from ``rng`` alone."""
        raise NotImplementedError(f"{type(self).__name__} has to give its demonstrators")

    def close(self) -> None:
        """Free the renderer; safe to call twice."""
        for simulation in self._simulations:
            simulation.close()

    def free_pusher_position(self, rng: np.random.Generator, block: np.ndarray, clearance: float) -> np.ndarray:
        """Draw a pusher position at least ``clearance`` metres from the block's centre."""
        while True:
            position = rng.uniform(*self.reach)
            if np.linalg.norm(position - block[:2]) > clearance:
                return position
