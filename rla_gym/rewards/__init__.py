"""Video-aligned rewards: how near dreamt (or real) tokens are to those of a reference episode.

Three parts: `distances` compares tokens, `modes` turns distances into a reward, `video` follows a batch of episodes;
`normalization` is an option, `goals` is the reward of the goal environment.
"""

from rla_gym.checkpoint.reward_names import METRICS, PATCHES
from rla_gym.rewards.config import VideoRewardConfig
from rla_gym.rewards.distances import change_weights, token_distance
from rla_gym.rewards.goals import GOAL_REWARDS, FeatureGoal
from rla_gym.rewards.modes import REWARDS, Corresponding, Distances, Goal, Progress, Reward, Success, make_reward
from rla_gym.rewards.normalization import RunningNormalization
from rla_gym.rewards.video import RewardStep, VideoReward

__all__ = [
    "GOAL_REWARDS",
    "METRICS",
    "PATCHES",
    "REWARDS",
    "Corresponding",
    "Distances",
    "FeatureGoal",
    "Goal",
    "Progress",
    "Reward",
    "RewardStep",
    "RunningNormalization",
    "Success",
    "VideoReward",
    "VideoRewardConfig",
    "change_weights",
    "make_reward",
    "token_distance",
]
