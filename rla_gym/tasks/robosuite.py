"""Robosuite's manipulation environments as tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from rla_gym.tasks.offscreen import Camera, OffscreenCamera, load_mujoco
from rla_gym.tasks.options import success_rule
from rla_gym.tasks.robosuite_arm import Arm
from rla_gym.tasks.robosuite_library import CONTROL_HZ, compiling, make_environment
from rla_gym.tasks.simulator_state import SimulatorState, checked_state
from rla_gym.tasks.task import Policy, TaskSpec, checked_action, checked_frame_size, unknown_demonstrator
from rla_gym.tasks.views import ROBOSUITE_VIEWS


class RobosuiteTask:
    """A robosuite environment under its robot's default controller (Panda: OSC_POSE), at 20 Hz.

    The action is robosuite's own, in [−1, 1]: per arm a translation (1 = 5 cm), a rotation (1 = 0.5 rad) and
    the gripper (positive closes). Proprioception is per arm the gripper's position ``(3,)``, the hand's
    quaternion ``(4,)`` x, y, z, w and the finger joints. Objects are, for each free body that is not a
    robot's, x, y, z and yaw; for each hinge or slide its position.

    The model is built once, so object sizes that robosuite draws anew at each hard reset are the same in all
    episodes and processes; placements and the arm's starting pose come from the seed of :meth:`reset`.

    Args:
        name: name of the environment in robosuite.
        robot: robosuite's name of a robot, or one name for each robot; two-armed environments double a single
            name.
        frame_size: ``(height, width)`` of the frames in pixels.
        camera: name or id of a camera of the model, or a :class:`Viewpoint`; by default that of
            :mod:`rla_gym.tasks.views`, else "agentview".
        max_steps: control steps of an episode.
        success: a function of the environment that reports whether its present state is a success, or
            "module:function"; by default robosuite's own rule.

    Raises:
        ValueError: robosuite has no such environment or robot (the message lists them), or the
            environment's state cannot be restored.
    """

    def __init__(
        self,
        name: str = "Lift",
        robot: str | Sequence[str] = "Panda",
        frame_size: tuple[int, int] = (112, 112),
        camera: Camera | None = None,
        max_steps: int = 60,
        success: Callable[[Any], bool] | str | None = None,
    ):
        load_mujoco()
        checked_frame_size(frame_size)
        self._success_rule = success_rule(success)
        self._stepped = False
        self.env = make_environment(name, robot)
        self.model, self.data = self.env.sim.model._model, self.env.sim.data._data
        self._simulator = SimulatorState(self.model, self.data)
        self._fixtures = _fixtures(self.model)
        self._objects = _object_joints(self.env, self.model)
        self.demonstrators: tuple[str, ...] = ("play",)
        if name == "Lift" and [r.name for r in self.env.robots] == ["Panda"]:
            self.demonstrators = ("expert", "play", "goal-blind")
        with compiling():
            self._reset_env(0)
        self.arms = _arms(self.env)
        low, high = self.env.action_spec
        self.spec = TaskSpec(
            name=f"robosuite:{name}",
            frame_size=frame_size,
            action_low=np.asarray(low, np.float32),
            action_high=np.asarray(high, np.float32),
            proprio_size=len(self.proprioception()),
            object_names=tuple(part for names, _ in self._objects for part in names),
            control_hz=CONTROL_HZ,
            max_steps=max_steps,
        )
        view = camera if camera is not None else ROBOSUITE_VIEWS.get(name, "agentview")
        # Group 0 holds the collision shapes, which hide the visual ones.
        self._camera = OffscreenCamera(self.model, view, *frame_size, hidden_geom_groups=(0,))

    def reset(self, seed: int) -> None:
        """Start a new episode; the same seed gives the same state, in any process."""
        self._reset_env(seed)

    def step(self, action: np.ndarray) -> None:
        """Apply one action for 0.05 s; a machine's first compiles robosuite's controller, and says so."""
        with nullcontext() if self._stepped else compiling():
            self.env.step(checked_action(action, self.spec))
        self._stepped = True
        self._simulator.refresh()

    def render(self) -> np.ndarray:
        """The camera's frame, ``(H, W, 3)`` uint8, upright."""
        return self._camera.frame(self.data)

    def proprioception(self) -> np.ndarray:
        """Per arm gripper position, hand quaternion and finger joints, ``(P,)`` float32."""
        parts = [part for arm in self.arms for part in (arm.position(), arm.quaternion(), arm.fingers())]
        return np.concatenate(parts).astype(np.float32)

    def get_state(self) -> np.ndarray:
        """MuJoCo's integration state, places of fixtures and what controllers remember, ``(S,)`` float64."""
        placements = [
            self.model.body_pos[self._fixtures].ravel(),
            self.model.body_quat[self._fixtures].ravel(),
        ]
        return np.concatenate([self._simulator.read(), *placements, *(np.array(m) for m in self._memories())])

    def set_state(self, state: np.ndarray) -> None:
        """Restore a state of :meth:`get_state`, of any episode; a wrong size or NaN is a ValueError."""
        memories = self._memories()
        count = len(self._fixtures)
        size = self._simulator.size + 7 * count + sum(len(memory) for memory in memories)
        array = checked_state(state, size, self.spec.name)
        simulator, positions, quaternions, rest = np.split(
            array, np.cumsum([self._simulator.size, 3 * count, 4 * count])
        )
        self.model.body_pos[self._fixtures] = positions.reshape(count, 3)
        self.model.body_quat[self._fixtures] = quaternions.reshape(count, 4)
        for memory in memories:
            memory[:], rest = rest[: len(memory)], rest[len(memory) :]
        self._simulator.write(simulator)
        self._forget_readings()

    def success(self) -> bool:
        """The given rule, or robosuite's own; Lift: the cube is more than 4 cm above the table."""
        return bool(self._success_rule(self.env) if self._success_rule else self.env._check_success())

    def object_state(self) -> np.ndarray:
        """Positions in metres and angles in radians of the objects, ``(O,)`` float32."""
        values: list[float] = []
        for names, address in self._objects:
            if len(names) == 1:
                values.append(self.data.qpos[address])
                continue
            w, x, y, z = self.data.qpos[address + 3 : address + 7]
            yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
            values += [*self.data.qpos[address : address + 3], yaw]
        return np.array(values, np.float32)

    def free_objects(self) -> np.ndarray:
        """Positions of the free bodies that are not a robot's, ``(n, 3)`` in metres."""
        addresses = [address for names, address in self._objects if len(names) == 4]
        return np.array([self.data.qpos[a : a + 3] for a in addresses]).reshape(-1, 3)

    def demonstrator(self, kind: str, noise: float, seed: int) -> Policy:
        """A scripted policy: "play" (wandering), and for Lift with a Panda "expert" and "goal-blind".

        The goal-blind one grasps as skilfully, to random ends. ``noise`` is a level of noise on the actions.
        """
        if kind not in self.demonstrators:
            raise unknown_demonstrator(self, kind)
        # A tag keeps its draws apart from those of a reset with the same seed.
        rng = np.random.default_rng([seed, 1])
        if kind == "play":
            from rla_gym.tasks.robosuite_play import RobosuitePlay

            return RobosuitePlay(self, noise, rng)
        from rla_gym.tasks.lift_demonstrator import LiftDemonstrator

        return LiftDemonstrator(self, noise, rng, goal_blind=kind == "goal-blind")

    def close(self) -> None:
        """Free the renderer; safe to call twice."""
        self._camera.close()

    def _reset_env(self, seed: int) -> None:
        # The samplers of placements share the environment's generator, so it is set rather than replaced.
        self.env.rng.bit_generator.state = np.random.default_rng(seed).bit_generator.state
        self.env.reset()
        for robot in self.env.robots:
            for gripper in robot.gripper.values():
                if gripper.dof:
                    # A neutral command gives the remembered one its final shape.
                    gripper.format_action(np.zeros(gripper.dof))
        self._simulator.refresh()
        self._forget_readings()

    def _forget_readings(self) -> None:
        """Have the controllers read the simulation anew, as their first step would use older readings."""
        for robot in self.env.robots:
            for part in robot.composite_controller.part_controllers.values():
                part.new_update = True

    def _memories(self) -> list[np.ndarray]:
        """What controllers remember from one control step to the next, as arrays that can be written into.

        The arms' resting posture is that of the episode's start; a gripper's command moves by steps.
        """
        memories: list[np.ndarray] = []
        for robot in self.env.robots:
            memories += [part.initial_joint for part in robot.composite_controller.part_controllers.values()]
            for gripper in robot.gripper.values():
                if gripper.dof:
                    # format_action may hand the same array on to the controller as its goal.
                    gripper.current_action = np.array(gripper.current_action, np.float64)
                    memories.append(gripper.current_action)
        return memories


def _arms(env: Any) -> list[Arm]:
    arms, offset = [], 0
    for robot in env.robots:
        arms += [Arm(robot, name, offset) for name in robot.arms]
        offset += robot.action_dim
    return arms


def _fixtures(model: Any) -> np.ndarray:
    """Ids of the bodies fixed to the world, which robosuite places by editing the model (a door, bins)."""
    return np.array([b for b in range(1, model.nbody) if model.body_parentid[b] == 0 and model.body_jntnum[b] == 0])


def _object_joints(env: Any, model: Any) -> list[tuple[tuple[str, ...], int]]:
    """Names of the values and address in qpos of each joint that belongs to no robot."""
    mujoco = load_mujoco()
    robots = {joint for robot in env.robots for joint in robot.robot_model.joints}
    robots |= {joint for robot in env.robots for gripper in robot.gripper.values() for joint in gripper.joints}
    found: list[tuple[tuple[str, ...], int]] = []
    for j in range(model.njnt):
        name = model.joint(j).name
        if name in robots:
            continue
        free = model.jnt_type[j] == mujoco.mjtJoint.mjJNT_FREE
        stem = name.removesuffix("_joint0")
        names = tuple(f"{stem}_{value}" for value in ("x", "y", "z", "yaw")) if free else (name,)
        found.append((names, int(model.jnt_qposadr[j])))
    return found
