"""What are the observations worth? Behaviour cloning on `features` against cloning on the true state, in the simulator.

The same demonstrations, the same network and the same real episodes, once with the keypoint features that environments
give and once with the true state of the objects in their place; proprioception is in both. The first should solve at
least 90 % of what the second does.

    python -m benchmarks.observation --ckpt push-cube --out benchmarks/results/observation-push-cube.json
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from stable_baselines3.common.vec_env import VecEnvWrapper
from torch import Tensor, nn

import rla_gym
from benchmarks.record import run_record
from rla_gym.learning.bc import held_out
from rla_gym.learning.demonstrations import episode_pairs, successful_episodes
from rla_gym.learning.evaluate import Evaluation, run_episodes
from rla_gym.learning.seeds import stream_seed
from rla_gym.utils.files import write_json
from rla_gym.utils.statistics import cluster_interval, rate_text, wilson

OBSERVATIONS = ("features", "state")
SMALLEST_STD, LIMIT = 0.02, 5.0
"""Standardised inputs: what hardly varies is not blown up, and what was never shown does not push anywhere."""


@dataclass(frozen=True)
class Args:
    """Settings of the measurement."""

    ckpt: str = "push-cube"
    out: Path = Path("benchmarks/results/observation-push-cube.json")
    seeds: tuple[int, ...] = (0, 1, 2)
    """Each with its own demonstrations, networks and real episodes."""
    demonstrations: int = 100
    """Successful expert episodes to clone."""
    noise: float = 0.2
    """Noise level of the expert."""
    episodes: int = 200
    """Real episodes of each clone, from the task's own starts; the same for both observations."""
    hidden: tuple[int, ...] = (256, 256)
    epochs: int = 400
    """Passes over the demonstrations, at most."""
    patience: int = 60
    """Epochs without a better held-out error before stopping."""
    held_out: float = 0.2
    """Share of the demonstrations that decides when to stop."""
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    input_noise: float = 0.02
    """Standard deviation of noise on the standardised inputs while cloning."""
    real_envs: int = 20
    """Simulators side by side."""
    workers: int = 2
    """Processes that they run in; 0: this one."""
    threads: int = 1


@dataclass(frozen=True)
class Pairs:
    """n pairs of what is seen and the chunk that follows, of all demonstrations."""

    inputs: dict[str, np.ndarray]
    """By observation, (n, its size) float32."""
    chunks: np.ndarray
    """(n, K * A) float32 in [-1, 1]."""
    episode: np.ndarray
    """(n,) int64, which demonstration a pair is of."""


class Clone(nn.Module):
    """A small network on inputs standardised by the demonstrations."""

    mean: Tensor
    std: Tensor

    def __init__(self, inputs: Tensor, actions: int, hidden: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("mean", inputs.mean(0))
        self.register_buffer("std", inputs.std(0).clamp(min=SMALLEST_STD))
        layers: list[nn.Module] = []
        for before, after in pairwise((inputs.shape[1], *hidden, actions)):
            layer = nn.Linear(before, after)
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
            layers += [layer, nn.Tanh()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, inputs: Tensor, noise: Tensor | float = 0.0) -> Tensor:
        """Chunks (n, K * A) of inputs (n, F)."""
        chunks: Tensor = self.layers(((inputs - self.mean) / self.std).clamp(-LIMIT, LIMIT) + noise)
        return chunks

    @torch.no_grad()
    def predict(self, observation: np.ndarray, deterministic: bool = True) -> tuple[np.ndarray, None]:
        """As an agent of Stable-Baselines3 does."""
        return self(torch.from_numpy(observation)).clamp(-1, 1).numpy(), None


class TrueState(VecEnvWrapper):
    """The real environment with the true state of the objects in the place of the features."""

    def __init__(self, venv: rla_gym.RLARealVecEnv) -> None:
        super().__init__(venv)
        config = venv.episodes.bundle.config
        self.names, self.features = config.object_names, config.features.size

    def reset(self) -> np.ndarray:
        return self._seen(self.venv.reset(), self.venv.reset_infos)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observation, rewards, dones, infos = self.venv.step_wait()
        begun = [self.venv.reset_infos[row] if done else infos[row] for row, done in enumerate(dones)]
        return self._seen(observation, begun), rewards, dones, infos

    def _seen(self, observation: Any, infos: list[dict[str, Any]]) -> np.ndarray:
        objects = state_inputs(self.names, np.stack([info["objects"] for info in infos]))
        return np.concatenate([objects, observation[:, self.features :]], axis=1)


def state_inputs(names: Sequence[str], objects: np.ndarray) -> np.ndarray:
    """True object states (n, O) as inputs (n, O') float32: angles, which jump, become cosine and sine."""
    columns = []
    for name, values in zip(names, objects.T, strict=True):
        columns += [np.cos(values), np.sin(values)] if name.endswith("yaw") else [values]
    return np.stack(columns, axis=1).astype(np.float32)


def record(bundle: rla_gym.Bundle, args: Args, seed: int) -> Pairs:
    """Fresh successful demonstrations of the task's expert, as `rla-gym demo` records them."""
    task = rla_gym.make_task(bundle.config.task, **bundle.config.task_options)
    try:
        found = successful_episodes(task, args.demonstrations, args.noise, seed, bundle.config.chunk)
        kept = [episode for _, episode in found]
    finally:
        task.close()
    pairs, size = [episode_pairs(bundle, episode) for episode in kept], bundle.config.features.size
    names, counts = bundle.config.object_names, [len(chunks) for _, chunks in pairs]
    states = [
        np.concatenate([state_inputs(names, np.asarray(episode.objects)[: len(seen)]), seen[:, size:]], axis=1)
        for episode, (seen, _) in zip(kept, pairs, strict=True)
    ]
    inputs = {"features": np.concatenate([seen for seen, _ in pairs]), "state": np.concatenate(states)}
    return Pairs(inputs, np.concatenate([chunks for _, chunks in pairs]), np.repeat(np.arange(len(pairs)), counts))


def clone(inputs: np.ndarray, pairs: Pairs, args: Args, seed: int) -> tuple[Clone, dict[str, Any]]:
    """The network of the epoch with the least error on held-out demonstrations, and how cloning went."""
    generator = torch.Generator().manual_seed(stream_seed("agent", seed))
    apart = held_out(int(pairs.episode.max()) + 1, args.held_out, seed)
    test = torch.from_numpy(np.isin(pairs.episode, apart))
    seen, done = torch.from_numpy(inputs), torch.from_numpy(pairs.chunks)
    learnt, wanted = seen[~test], done[~test]
    model = Clone(learnt, wanted.shape[1], args.hidden, generator)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate, weight_decay=args.weight_decay)
    best, best_epoch, kept = float("inf"), 0, copy.deepcopy(model.state_dict())
    for epoch in range(1, args.epochs + 1):
        for rows in torch.randperm(len(learnt), generator=generator).split(args.batch_size):
            noise = args.input_noise * torch.randn(len(rows), learnt.shape[1], generator=generator)
            loss = (model(learnt[rows], noise) - wanted[rows]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            error = float((model(seen[test]) - done[test]).square().mean())
        if error < best:
            best, best_epoch, kept = error, epoch, copy.deepcopy(model.state_dict())
        elif epoch - best_epoch >= args.patience:
            break
    model.load_state_dict(kept)
    return model.eval(), {"epochs": epoch, "best_epoch": best_epoch, "held_out_error": best}


def judge(model: Clone, observation: str, bundle: rla_gym.Bundle, args: Args, seed: int) -> Evaluation:
    """Real episodes from the task's own starts, which are the same for every clone of this seed."""
    count = min(args.real_envs, args.episodes)
    env: Any = rla_gym.RLARealVecEnv(bundle, count, workers=args.workers, start="task")
    try:
        seen = TrueState(env) if observation == "state" else env
        return run_episodes(model, seen, args.episodes, stream_seed("evaluation", seed))
    finally:
        env.close()


def share_reached(features: Sequence[bool], state: Sequence[bool], seed: int = 0) -> dict[str, float] | None:
    """Share of the true state's successes that features reach on the same starts, and its 95 % interval.

    By a bootstrap over starts; None where the true state solves nothing.
    """
    if not any(state):
        return None

    def ratio(one: np.ndarray, other: np.ndarray) -> float:
        return float(one.sum() / max(other.sum(), 1))

    pairs = [np.asarray(each, np.float64) for each in (features, state)]
    share, low, high = cluster_interval(ratio, pairs, np.arange(len(state)), 2000, seed)
    return {"share": share, "low": low, "high": high}


def summarize(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rates over all seeds, and the share that features reach over all of them and in each."""
    solved = {name: [row["successes"] for row in rows if row["observation"] == name] for name in OBSERVATIONS}
    pooled = {name: [success for each in found for success in each] for name, found in solved.items()}
    rates = {
        name: {"rate": float(np.mean(each)), "interval": list(wilson(sum(each), len(each)))}
        for name, each in pooled.items()
    }
    shares = [share_reached(*each) for each in zip(solved["features"], solved["state"], strict=True)]
    reached = share_reached(pooled["features"], pooled["state"])
    return {**rates, "reached": reached, "reached_by_seed": shares}


def main(args: Args) -> None:
    """Measure, print and write the JSON."""
    torch.set_num_threads(args.threads)
    bundle = rla_gym.load_checkpoint(args.ckpt)
    rows = []
    for seed in args.seeds:
        pairs = record(bundle, args, seed)
        for observation in OBSERVATIONS:
            model, how = clone(pairs.inputs[observation], pairs, args, seed)
            found = judge(model, observation, bundle, args, seed)
            lengths = [episode.length for episode in found.episodes]
            made = {"seed": seed, "observation": observation, "size": pairs.inputs[observation].shape[1], **how}
            rows.append({**made, "rate": found.rate, "successes": found.successes, "lengths": lengths})
            rate = rate_text(found.rate, found.interval)
            print(f"seed {seed}, {observation}: held-out error {how['held_out_error']:.4f}, solved {rate}", flush=True)
    summary = summarize(rows)
    reached = summary["reached"]
    if reached is not None:
        share, low, high = (100 * reached[name] for name in ("share", "low", "high"))
        print(f"on features {share:.1f} % [{low:.1f}, {high:.1f}] of what is solved on the true state")
    settings = {**asdict(args), "out": str(args.out)}
    made = {**run_record(), "checkpoint": bundle.config.name, "settings": settings, "seeds": list(args.seeds)}
    write_json(args.out, {**made, "summary": summary, "rows": rows})


if __name__ == "__main__":
    main(tyro.cli(Args))
