"""What a user's module holds: a Gymnasium environment, a success rule, and a task."""

import gymnasium
import numpy as np

from rla_gym.tasks import register_task
from rla_gym.tasks.gymnasium import GymnasiumTask

gymnasium.register("UserPusher-v0", "gymnasium.envs.mujoco.pusher_v5:PusherEnv", max_episode_steps=20)
gymnasium.register("UserPusher30-v0", "gymnasium.envs.mujoco.pusher_v5:PusherEnv", max_episode_steps=30)


def fallen(env) -> bool:
    """Whether the tip is lower than it starts."""
    return bool(env.get_body_com("tips_arm")[2] < -0.02)


def anywhere(env) -> bool:
    """Always a success."""
    return bool(np.isfinite(env.data.qpos).all())


def upright(env) -> bool:
    """Always, of a robosuite environment."""
    return len(env.robots) > 0


def make_pusher(max_steps: int = 6, **options):
    """A registered task may have any rule, also a lambda: its own name is what is recorded."""
    return GymnasiumTask("UserPusher-v0", max_steps=max_steps, success=lambda env: anywhere(env), **options)


register_task("user-pusher", make_pusher)
