"""Gymnasium's MuJoCo environments as tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np

from rla_gym.tasks.offscreen import Camera, OffscreenCamera, Viewpoint, load_mujoco
from rla_gym.tasks.options import load_module, success_rule
from rla_gym.tasks.simulator_state import SimulatorState, checked_state
from rla_gym.tasks.smooth_noise import SmoothNoise
from rla_gym.tasks.task import Policy, TaskSpec, checked_action, checked_frame_size, unknown_demonstrator
from rla_gym.tasks.views import GYMNASIUM_VIEWS

REACHER = "Reacher-v5"
REACHER_RADIUS = 0.02
"""Reacher succeeds with the fingertip's centre within this distance of the target's, in metres."""


class GymnasiumTask:
    """A Gymnasium MuJoCo environment: its own actions, no time limit, and frames of our own camera.

    Proprioception is position and velocity of the actuated hinges and slides, never the target. Objects are
    the other joints' positions (Reacher: the target's x and y). States hold everything that MuJoCo
    integrates; an environment that keeps further state in Python is not restored exactly. Reacher is drawn
    brighter and thicker, its target as a disc with the radius of success, so that a coarse encoder sees them;
    its dynamics are untouched. The environment is unwrapped: wrappers that its id registers do not apply.

    Args:
        id: of the environment, also as "my_module:Env-v0", whose module registers it.
        frame_size: ``(height, width)`` of the frames in pixels.
        camera: name or id of a camera of the model, or a :class:`Viewpoint`; by default that of
            :mod:`rla_gym.tasks.views`, else the model's "track", else the view that Gymnasium itself takes.
        max_steps: control steps of an episode; by default the environment's own limit, or 100.
        success: a function of the unwrapped environment that reports whether its present state is a success,
            or "module:function". By default Reacher's own, else nothing is a success.
        env_kwargs: further arguments of the environment.

    Raises:
        ValueError: no environment has that id, it is not a MuJoCo environment or does not take `env_kwargs`,
            or its model has no such camera.
        ImportError: the module of the id cannot be imported.
    """

    def __init__(
        self,
        id: str = REACHER,
        frame_size: tuple[int, int] = (112, 112),
        camera: Camera | None = None,
        max_steps: int | None = None,
        success: Callable[[Any], bool] | str | None = None,
        env_kwargs: Mapping[str, Any] | None = None,
    ):
        load_mujoco()
        checked_frame_size(frame_size)
        self._success_rule = success_rule(success)
        self.env = _make(id, env_kwargs or {})
        self.model, self.data = self.env.model, self.env.data
        full_id = self.env.spec.id
        self._is_reacher = full_id == REACHER
        if self._is_reacher and self._success_rule is None:
            self._success_rule = _reacher_success
        self.demonstrators: tuple[str, ...] = ("expert", "play", "goal-blind") if self._is_reacher else ("play",)
        if self._is_reacher:
            _draw_reacher_boldly(self.model)
        self._simulator = SimulatorState(self.model, self.data)
        actuated = _actuated_joints(self.model)
        self._proprio_qpos = [self.model.jnt_qposadr[j] for j in actuated]
        self._proprio_qvel = [self.model.jnt_dofadr[j] for j in actuated]
        self._object_qpos = np.setdiff1d(np.arange(self.model.nq), self._proprio_qpos)
        self.spec = TaskSpec(
            name=f"gymnasium:{_with_module(id, full_id)}",
            frame_size=frame_size,
            action_low=self.env.action_space.low.astype(np.float32),
            action_high=self.env.action_space.high.astype(np.float32),
            proprio_size=2 * len(actuated),
            object_names=_position_names(self.model, self._object_qpos),
            control_hz=1.0 / self.env.dt,
            max_steps=gymnasium.spec(full_id).max_episode_steps or 100 if max_steps is None else max_steps,
        )
        self._camera = OffscreenCamera(self.model, self._view(camera), *frame_size)
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Start a new episode by the environment's own ``reset(seed=...)``."""
        self.env.reset(seed=seed)
        self._simulator.refresh()

    def step(self, action: np.ndarray) -> None:
        """Apply one action of the environment, clipped to its bounds."""
        self.env.step(checked_action(action, self.spec))
        self._simulator.refresh()

    def render(self) -> np.ndarray:
        """The camera's frame, ``(H, W, 3)`` uint8."""
        return self._camera.frame(self.data)

    def proprioception(self) -> np.ndarray:
        """Positions, then velocities of the actuated joints, ``(P,)`` float32 in rad or m and per second."""
        return np.concatenate([self.data.qpos[self._proprio_qpos], self.data.qvel[self._proprio_qvel]]).astype(
            np.float32
        )

    def get_state(self) -> np.ndarray:
        """MuJoCo's integration state, ``(S,)`` float64."""
        return self._simulator.read()

    def set_state(self, state: np.ndarray) -> None:
        """Restore a state of :meth:`get_state`; a wrong size or NaN is a ValueError."""
        self._simulator.write(checked_state(state, self._simulator.size, self.spec.name))

    def success(self) -> bool:
        """Whether the present state meets the success rule; False where there is none."""
        return self._success_rule is not None and bool(self._success_rule(self.env))

    def object_state(self) -> np.ndarray:
        """Positions of the joints that no motor drives, ``(O,)`` float32."""
        return self.data.qpos[self._object_qpos].astype(np.float32)

    def demonstrator(self, kind: str, noise: float, seed: int) -> Policy:
        """A scripted policy: "play" (smooth random actions), and for Reacher "expert" and "goal-blind".

        The goal-blind one reaches for hidden random points. ``noise`` is a level of noise on the actions.
        """
        if kind not in self.demonstrators:
            raise unknown_demonstrator(self, kind)
        # A tag keeps its draws apart from those of a reset with the same seed.
        rng = np.random.default_rng([seed, 1])
        if kind == "play":
            return _Play(self.spec, noise, rng)
        from rla_gym.tasks.reacher_demonstrator import ReacherDemonstrator

        return ReacherDemonstrator(self, noise, rng, hidden=kind == "goal-blind")

    def close(self) -> None:
        """Free the renderer and the environment; safe to call twice."""
        self._camera.close()
        self.env.close()

    def _view(self, camera: Camera | None) -> Camera:
        """The camera asked for, or the default of this environment."""
        if camera is not None:
            return camera
        own = GYMNASIUM_VIEWS.get(self.env.spec.name) if self.env.spec.namespace is None else None
        if own is not None:
            return own
        if any(self.model.camera(i).name == "track" for i in range(self.model.ncam)):
            return "track"
        config = self.env.mujoco_renderer.default_cam_config
        if not config:
            return -1
        lookat = config.get("lookat", self.model.stat.center)
        return Viewpoint(
            lookat=(float(lookat[0]), float(lookat[1]), float(lookat[2])),
            distance=float(config.get("distance", 1.5 * self.model.stat.extent)),
            azimuth=float(config.get("azimuth", 90.0)),
            elevation=float(config.get("elevation", -45.0)),
            follow_body=int(config.get("trackbodyid", -1)),
        )


class _Play:
    """Smooth random actions over the whole range of each motor."""

    def __init__(self, spec: TaskSpec, noise: float, rng: np.random.Generator):
        self._spec = spec
        self._noise = SmoothNoise(len(spec.action_low), 0.5 + noise, rng)

    def __call__(self) -> np.ndarray:
        """Next action ``(A,)`` float32."""
        low, high = self._spec.action_low, self._spec.action_high
        action = (low + high) / 2 + (high - low) / 2 * self._noise()
        return np.clip(action, low, high).astype(np.float32)


def _with_module(id: str, full_id: str) -> str:
    """The environment's full id, behind the module of `id` where that names one."""
    module, colon, _ = id.rpartition(":")
    return f"{module}{colon}{full_id}"


def _make(id: str, env_kwargs: Mapping[str, Any]) -> Any:
    """The unwrapped environment, without a renderer of its own."""
    from gymnasium.envs.mujoco import MujocoEnv

    module, _, _ = id.rpartition(":")
    if module:
        load_module(module)
    try:
        env = gymnasium.make(id, **env_kwargs).unwrapped
    except gymnasium.error.Error as error:
        raise ValueError(
            f"Gymnasium cannot make {id!r} ({error}); pass a MuJoCo environment, such as {REACHER!r}, or "
            "my_module:Env-v0 of a module of yours that registers one"
        ) from error
    except TypeError as error:
        if not env_kwargs:
            raise
        raise ValueError(f"Gymnasium cannot make {id!r} with env_kwargs={dict(env_kwargs)!r}: {error}") from error
    if not isinstance(env, MujocoEnv):
        env.close()
        raise ValueError(
            f"{id!r} is a {type(env).__name__}, not a MuJoCo environment (gymnasium.envs.mujoco.MujocoEnv): "
            f"its state could not be restored exactly. Pass one that is, such as {REACHER!r}, or write a "
            "rla_gym.tasks.Task for it and register it with rla_gym.register_task"
        )
    if not isinstance(env.action_space, gymnasium.spaces.Box):
        raise ValueError(f"{id!r} has actions {env.action_space}, expected a Box of motor commands")
    return env


def _actuated_joints(model: Any) -> list[int]:
    """Ids of the hinges and slides that a motor drives directly, in the model's order."""
    mujoco = load_mujoco()
    driven = {
        int(model.actuator_trnid[i, 0])
        for i in range(model.nu)
        if model.actuator_trntype[i] == mujoco.mjtTrn.mjTRN_JOINT
    }
    simple = (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)
    return [j for j in sorted(driven) if model.jnt_type[j] in simple]


def _position_names(model: Any, addresses: np.ndarray) -> tuple[str, ...]:
    """A name for each position: the joint's name, with the index within the joint where it has several."""
    names: dict[int, str] = {}
    bounds = [*model.jnt_qposadr, model.nq]
    for j in range(model.njnt):
        width = bounds[j + 1] - bounds[j]
        name = model.joint(j).name or f"joint{j}"
        names |= {bounds[j] + k: name if width == 1 else f"{name}_{k}" for k in range(width)}
    return tuple(names[int(i)] for i in addresses)


def _draw_reacher_boldly(model: Any) -> None:
    """Thicken the shapes of Reacher, which collide with nothing and whose masses are compiled already."""
    for link in ("link0", "link1"):
        model.geom(link).size[0] = 0.014
    model.geom("fingertip").size[0] = 0.017
    target = model.geom("target")
    target.type[0] = load_mujoco().mjtGeom.mjGEOM_CYLINDER
    target.size[:2] = REACHER_RADIUS, 0.001
    model.vis.headlight.ambient[:] = 0.35
    model.vis.headlight.diffuse[:] = 0.45


def _reacher_success(env: Any) -> bool:
    gap = env.get_body_com("fingertip") - env.get_body_com("target")
    return bool(np.linalg.norm(gap) < REACHER_RADIUS)
