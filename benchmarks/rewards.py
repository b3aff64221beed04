"""Do rewards fall as actions get worse, and do they follow the truth? On held-out references, for every reward.

From frames of held-out references the dream and the real simulator, restored to the recorded state, are driven by the
recorded actions with smooth noise of several sizes. A good reward pays less the more noise there is, and ranks what was
dreamt as the true distance to the reference does.

    python -m benchmarks.rewards --ckpt push-cube --out benchmarks/results/rewards-push-cube.json
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

import rla_gym
from benchmarks.record import run_record
from rla_gym.bench.fidelity.probe import state_values
from rla_gym.rewards import METRICS, PATCHES, REWARDS, VideoReward, VideoRewardConfig
from rla_gym.rewards.distances import OF_FEATURES
from rla_gym.tasks.smooth_noise import SmoothNoise
from rla_gym.utils.files import write_json
from rla_gym.utils.statistics import cluster_interval, spearman


@dataclass(frozen=True)
class Args:
    """Settings of the measurement."""

    ckpt: str = "push-cube"
    out: Path = Path("benchmarks/results/rewards-push-cube.json")
    references: str = "test"
    """Which references: "test", "validation", "train" or "all"; those that the checkpoint was not trained on count."""
    levels: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0)
    """Standard deviations of the noise on the actions, in units of their bounds."""
    draws: int = 8
    """Of the noise, at each level but 0; the same at all levels."""
    chunks: int = 5
    """Length of a rollout."""
    stride: int = 4
    """Frames between the starts in a reference."""
    starts: int | None = None
    """At most this many starts, evenly chosen; none: all."""
    seed: int = 0
    threads: int = 1


@dataclass(frozen=True)
class Rollouts:
    """R rollouts of n chunks."""

    start: np.ndarray  # (R,) which start it is of
    reference: np.ndarray  # (R,)
    frame: np.ndarray  # (R,) to start from
    level: np.ndarray  # (R,) noise
    chunks: np.ndarray  # (R, n, K, A) float32 in [-1, 1]


def make_rollouts(bundle: rla_gym.Bundle, args: Args) -> Rollouts:
    """Every start with its recorded actions, and with `draws` of noise at every level."""
    references, length = bundle.references, args.chunks * bundle.config.chunk
    first, frames = references.starts.numpy(), references.lengths.numpy()
    starts = [
        (int(reference), frame)
        for reference in references.select(args.references)
        for frame in range(0, int(frames[reference]) - length, args.stride)
    ]
    if not starts:
        raise SystemExit(f"no reference of {args.references!r} has {length + 1} frames: take fewer --chunks")
    if args.starts is not None and args.starts < len(starts):
        starts = [starts[i] for i in np.linspace(0, len(starts) - 1, args.starts).astype(int)]
    rows, actions = [], []
    for number, (reference, frame) in enumerate(starts):
        begin = first[reference] + frame
        recorded = bundle.scale_actions(references.actions[begin : begin + length].numpy())
        noise = np.stack([_noise(args, number, draw, recorded.shape) for draw in range(args.draws)])
        for level in args.levels:
            for disturbed in recorded + level * noise if level else recorded[None]:
                rows.append((number, reference, frame, level))
                actions.append(np.clip(disturbed, -1, 1))
    start, reference, frame, level = (np.array(column) for column in zip(*rows, strict=True))
    shape = (len(rows), args.chunks, bundle.config.chunk, bundle.config.action_size)
    return Rollouts(start, reference, frame, level, np.stack(actions).reshape(shape).astype(np.float32))


def _noise(args: Args, start: int, draw: int, shape: tuple[int, ...]) -> np.ndarray:
    noise = SmoothNoise(shape[1], 1.0, np.random.default_rng([args.seed, start, draw]))
    return np.stack([noise() for _ in range(shape[0])])


def dreamt_rewards(bundle: rla_gym.Bundle, rollouts: Rollouts, configs: list[VideoRewardConfig]) -> list[np.ndarray]:
    """Rewards (R, n) of each configuration, all paid on the same dreams."""
    count = len(rollouts.start)
    dream = rla_gym.Dream(bundle, count)
    rewards = [VideoReward(bundle, count, config) for config in configs]
    state = dream.reset(np.ones(count, bool), rollouts.reference, rollouts.frame)
    for reward in rewards:
        reward.reset(torch.arange(count), state.reference, state.tokens)
    paid: list[list[np.ndarray]] = [[] for _ in configs]
    for number in range(rollouts.chunks.shape[1]):
        state = dream.step(rollouts.chunks[:, number])
        for reward, steps in zip(rewards, paid, strict=True):
            steps.append(reward.step(state.tokens, state.frame).reward.numpy())
    return [np.stack(steps, axis=1) for steps in paid]


def true_distances(bundle: rla_gym.Bundle, rollouts: Rollouts) -> dict[str, dict[str, np.ndarray]]:
    """Metres (R, n + 1) between the simulator under the rollout's actions and its recorded states.

    By what is compared, "objects" or "scene" (objects and robot), and to which recorded state: "same time", or "goal",
    the reference's last.
    """
    references, task = bundle.references, rla_gym.make_task(bundle.config.task, **bundle.config.task_options)
    spec, states = task.spec.to_dict(), references.states.numpy()
    first, last = references.starts.numpy(), (references.starts + references.lengths - 1).numpy()

    def positions() -> np.ndarray:
        return np.array([*state_values(spec, task.object_state(), task.proprioception()).values()])

    def recorded(row: int) -> np.ndarray:
        task.set_state(states[row])
        return positions()

    driven, along, ends = [], [], []
    known: dict[int, np.ndarray] = {}
    task.reset(0)
    steps = rollouts.chunks.shape[1]
    for index, chunks in enumerate(rollouts.chunks):
        episode = int(rollouts.reference[index])
        begin = int(first[episode] + rollouts.frame[index])
        rows = [begin + number * bundle.config.chunk for number in range(steps + 1)]
        known |= {row: recorded(row) for row in (*rows, int(last[episode])) if row not in known}
        task.set_state(states[begin])
        path = [positions()]
        for chunk in bundle.unscale_actions(chunks):
            for action in chunk:
                task.step(action)
            path.append(positions())
        driven.append(path)
        along.append([known[row] for row in rows])
        ends.append([known[int(last[episode])]] * (steps + 1))
    task.close()
    objects = sum(name.endswith(("_x", "_y", "_z")) for name in spec["object_names"])  # these come first
    columns = {"objects": slice(0, objects), "scene": slice(None)}
    truth = {"same time": np.array(along), "goal": np.array(ends)}
    return {
        what: {when: np.linalg.norm((np.array(driven) - to)[..., column], axis=-1) for when, to in truth.items()}
        for what, column in columns.items()
    }


def true_rewards(mode: str, distances: dict[str, np.ndarray]) -> np.ndarray:
    """What a reward (R, n) would be if it saw true distances: "success" is compared with the distance to the goal."""
    if mode == "corresponding":
        return -distances["same time"][:, 1:]
    goal = distances["goal"]
    return goal[:, :-1] - goal[:, 1:] if mode == "progress" else -goal[:, 1:]


def judge(rollouts: Rollouts, paid: np.ndarray, truth: dict[str, np.ndarray], seed: int) -> dict[str, Any]:
    """How one reward (R, n) fared."""
    returns, levels = paid.sum(axis=1), sorted(set(rollouts.level.tolist()))
    means = [_mean_interval(returns, rollouts, level, seed) for level in levels]
    undisturbed = np.full(rollouts.start.max() + 1, np.nan)
    undisturbed[rollouts.start[rollouts.level == 0]] = returns[rollouts.level == 0]
    below = returns < undisturbed[rollouts.start]
    entry: dict[str, Any] = {
        "mean_return": {str(level): mean for level, mean in zip(levels, means, strict=True)},
        "monotone": all(high[0] > low[0] for high, low in pairwise(means)),
        "below_recorded": {str(level): float(below[rollouts.level == level].mean()) for level in levels if level},
        "returns": [float(f"{value:.4g}") for value in returns],
    }
    for what, true in truth.items():
        within = [
            spearman(returns[rollouts.start == start], true.sum(axis=1)[rollouts.start == start])
            for start in np.unique(rollouts.start)
        ]
        entry[f"spearman_{what}"] = {
            "step": spearman(paid, true),
            "return": spearman(returns, true.sum(axis=1)),
            "return_within_start": float(np.mean(within)),
        }
    return entry


def _mean_interval(returns: np.ndarray, rollouts: Rollouts, level: float, seed: int) -> list[float]:
    """Mean return at a level and its 95 % interval, by a bootstrap over references."""
    chosen = rollouts.level == level
    return cluster_interval(lambda paid: float(paid.mean()), [returns[chosen]], rollouts.reference[chosen], 2000, seed)


def configurations(bundle: rla_gym.Bundle) -> list[VideoRewardConfig]:
    """Every mode x metric x patches, as far as the checkpoint has them; maps of features have no patches."""
    found = []
    for mode, metric, patches in product(REWARDS, METRICS, PATCHES):
        key = metric if patches == "all" else f"{metric}/{patches}"
        known = metric != "objects" or bundle.object_weights is not None
        measurable = known and not (metric in OF_FEATURES and patches != "all")
        if measurable and (mode != "success" or key in bundle.config.thresholds):
            found.append(VideoRewardConfig(mode, metric, patches, scale=1.0))
    return found


def main(args: Args) -> None:
    """Measure, print the table and write the JSON."""
    torch.set_num_threads(args.threads)
    bundle = rla_gym.load_checkpoint(args.ckpt)
    rollouts, configs = make_rollouts(bundle, args), configurations(bundle)
    distances = true_distances(bundle, rollouts)
    replay = distances["scene"]["same time"][rollouts.level == 0].max()
    starts, count = len(np.unique(rollouts.start)), len(rollouts.start)
    print(f"{starts} starts, {count} rollouts of {args.chunks} chunks; replays end within {1000 * replay:.2f} mm")
    print(
        f"{'reward':32s} {'mean return by noise ' + str(args.levels):44s} falls  rank correlation: step, return, within"
    )
    rows = []
    for config, paid in zip(configs, dreamt_rewards(bundle, rollouts, configs), strict=True):
        truth = {what: true_rewards(str(config.mode), found) for what, found in distances.items()}
        entry = judge(rollouts, paid, truth, args.seed)
        rows.append({"mode": config.mode, "metric": config.metric, "patches": config.patches, **entry})
        means = " ".join(f"{mean[0]:10.4f}" for mean in entry["mean_return"].values())
        ranks = " ".join(f"{value:6.2f}" for value in entry["spearman_scene"].values())
        name = f"{config.mode} {config.metric} {config.patches}"
        print(f"{name:32s} {means:44s} {entry['monotone']!s:6s} {ranks}", flush=True)
    setting = {
        "start": rollouts.start,
        "reference": rollouts.reference,
        "frame": rollouts.frame,
        "level": rollouts.level,
    }
    write_json(
        args.out,
        {
            **run_record(),
            "settings": {**asdict(args), "out": str(args.out)},
            "seeds": [args.seed],
            "replay_error_mm": float(1000 * replay),
            "rollouts": {name: values.tolist() for name, values in setting.items()},
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main(tyro.cli(Args))
