"""What an environment tells, in one form for every face: its resets and steps in a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from rla_gym.envs.sb3 import EpisodesVecEnv

Stream = list[tuple[Any, ...]]
"""Of one environment: ("begin", observation, info) and ("step", observation, reward, terminated, truncated, info)."""

Actions = Callable[[int, int], np.ndarray]
"""Action of an environment's seed at the step with that number; steps that ignore their action do not count."""


def same(first: Any, second: Any) -> bool:
    """Whether two results are equal to the last bit, types of arrays and all keys of infos included."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, np.ndarray) and first.dtype == object:
        return isinstance(second, np.ndarray) and second.dtype == object and same(list(first), list(second))
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and first.tobytes() == second.tobytes() and first.shape == second.shape
    return type(first) is type(second) and bool(first == second)


def single_stream(env: gym.Env[Any, Any], seed: int, actions: Actions, steps: int) -> Stream:
    """Of a single environment that is reset when an episode ends."""
    observation, info = env.reset(seed=seed)
    stream: Stream = [("begin", observation, info)]
    for number in range(steps):
        *result, info = env.step(actions(seed, number))
        stream.append(("step", *result, info))
        if result[2] or result[3]:
            stream.append(("begin", *env.reset()))
    return stream


def sb3_streams(env: EpisodesVecEnv, seed: int, actions: Actions, steps: int) -> list[Stream]:
    """Of each environment in a vector environment of Stable-Baselines3, as `one_end` would have them."""
    env.seed(seed)
    first = env.reset()
    streams: list[Stream] = [[("begin", first[row], env.reset_infos[row])] for row in range(env.num_envs)]
    for number in range(steps):
        chosen = np.stack([actions(seed + row, number) for row in range(env.num_envs)])
        observation, rewards, dones, infos = env.step(chosen)
        for row, info in enumerate(infos):
            truncated = info.pop("TimeLimit.truncated")
            last = info.pop("terminal_observation") if dones[row] else observation[row]
            ends = (bool(dones[row] and not truncated), truncated)
            streams[row].append(("step", last, float(rewards[row]), *ends, info))
            if dones[row]:
                streams[row].append(("begin", observation[row], env.reset_infos[row]))
    return streams


def one_end(stream: Stream) -> Stream:
    """`stream` with what Stable-Baselines3 can tell of it: an end is a termination or a truncation, never both."""
    return [(*entry[:4], entry[4] and not entry[3], *entry[5:]) if entry[0] == "step" else entry for entry in stream]


def vector_streams(env: gym.vector.VectorEnv[Any, Any, Any], seed: int, actions: Actions, steps: int) -> list[Stream]:
    """Of each environment in a vector environment of Gymnasium, in any autoreset mode."""
    mode, count = env.metadata["autoreset_mode"], env.num_envs
    observation, infos = env.reset(seed=seed)
    streams: list[Stream] = [[("begin", observation[row], of_row(infos, row))] for row in range(count)]
    numbers, waiting = [0] * count, np.zeros(count, bool)
    for _ in range(steps):
        chosen = np.stack([actions(seed + row, numbers[row]) for row in range(count)])
        chosen[waiting] = np.nan  # ignored, or refused
        observation, rewards, terminated, truncated, infos = env.step(chosen)
        ended = terminated | truncated
        for row in range(count):
            told = of_row(infos, row)
            final, last = told.pop("final_info", None), told.pop("final_obs", None)
            if waiting[row]:
                assert rewards[row] == 0 and not ended[row]
                streams[row].append(("begin", observation[row], told))
                continue
            numbers[row] += 1
            ends = (bool(terminated[row]), bool(truncated[row]))
            step = (observation[row], told) if final is None else (last, final)
            streams[row].append(("step", step[0], float(rewards[row]), *ends, step[1]))
            if final is not None:
                streams[row].append(("begin", observation[row], told))
        waiting = ended if mode is gym.vector.AutoresetMode.NEXT_STEP else np.zeros(count, bool)
        if mode is gym.vector.AutoresetMode.DISABLED and ended.any():
            observation, infos = env.reset(options={"reset_mask": ended})
            for row in np.flatnonzero(ended).tolist():
                streams[row].append(("begin", observation[row], of_row(infos, row)))
    return streams


def of_row(infos: dict[str, Any], row: int) -> dict[str, Any]:
    """One environment's info out of those of a vector environment, read by its masks, as Python's own types."""
    found = {}
    for name, values in infos.items():
        if name.startswith("_") or not infos[f"_{name}"][row]:
            continue
        value = of_row(values, row) if isinstance(values, dict) else values[row]
        found[name] = value.item() if isinstance(value, np.generic) else value
    return found
