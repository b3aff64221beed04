"""PPO in plain PyTorch, all of it in this file, trained in dreams and judged in the real simulator.

python agents/ppo_torch.py --ckpt push-cube --total-timesteps 200000

Proximal policy optimization (Schulman et al. 2017, arXiv 1707.06347) with generalised advantages (arXiv 1506.02438).
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise

import gymnasium as gym
import numpy as np
import torch
import tyro
from safetensors.torch import save_file
from torch import Tensor, nn

import rla_gym

gym.register_envs(rla_gym)


@dataclass
class Args:
    ckpt: str = "push-cube"
    """checkpoint: folder, built-in name or hub id"""
    out: str = "runs/ppo-torch"
    """folder for agent.safetensors, result.json and progress.csv"""
    seed: int = 0
    """seed of the dreams, the network, the exploration and the evaluation"""
    threads: int = 1
    """threads of torch; more than the free cores is much slower"""

    total_timesteps: int = 200_000
    """chunks to dream, over all environments"""
    num_envs: int = 64
    """dreams side by side"""

    reward: str | None = None
    """"progress", "goal", "corresponding" or "success"; none: the checkpoint's"""
    metric: str | None = None
    """"l1", "l2", "cosine" or "features"; none: the checkpoint's"""
    time_limit: int | None = None
    """chunks of a dream; none: the checkpoint's"""
    p_initial_frame: float = 0.5
    """share of dreams that start at a recording's first frame, the others anywhere in it"""
    precision: str = "bf16"
    """of the world model: "bf16" or "float32\""""

    learning_rate: float = 3e-4
    """of Adam"""
    n_steps: int = 16
    """chunks of each environment in an iteration"""
    batch_size: int = 256
    """of a gradient step"""
    n_epochs: int = 5
    """passes over an iteration's chunks"""
    gamma: float = 0.95
    """discount a chunk"""
    gae_lambda: float = 0.9
    """of generalised advantage estimation"""
    clip_range: float = 0.2
    """of the probability ratio"""
    max_grad_norm: float = 0.5
    """gradients are scaled down to this norm"""
    target_kl: float | None = 0.05
    """ends an iteration's updates early"""
    log_std_init: float = -1.0
    """logarithm of the first exploration's standard deviation"""
    hidden: tuple[int, ...] = (128, 128)
    """widths of the hidden layers, of actor and critic alike"""

    episodes: int = 100
    """real evaluation episodes, before and after"""
    real_envs: int = 20
    """real simulators side by side"""
    workers: int = 2
    """processes that they run in"""


class Agent(nn.Module):
    """A Gaussian policy whose spread does not depend on the observation, and a critic beside it."""

    def __init__(self, observation_size: int, action_size: int, args: Args, generator: torch.Generator) -> None:
        super().__init__()
        # A last layer near zero makes the first policy one and the same everywhere: exploration alone decides.
        self.actor = mlp((observation_size, *args.hidden, action_size), last_gain=0.01, generator=generator)
        self.critic = mlp((observation_size, *args.hidden, 1), last_gain=1.0, generator=generator)
        self.log_std = nn.Parameter(torch.full((action_size,), args.log_std_init))

    def policy(self, observations: Tensor) -> torch.distributions.Normal:
        """Distributions of actions (B, A), each number on its own, at observations (B, F)."""
        mean = self.actor(observations)
        return torch.distributions.Normal(mean, self.log_std.exp().expand_as(mean))

    def value(self, observations: Tensor) -> Tensor:
        """Expected discounted returns (B,) from observations (B, F) on."""
        return self.critic(observations).squeeze(-1)

    @torch.no_grad()
    def act(self, observations: np.ndarray) -> np.ndarray:
        """The policy's mean actions (B, A) float32 in [-1, 1]."""
        return self.actor(torch.from_numpy(observations)).clamp(-1, 1).numpy()


def mlp(sizes: tuple[int, ...], last_gain: float, generator: torch.Generator) -> nn.Sequential:
    """Linear layers with tanh between them, orthogonal weights and no bias at first."""
    parts: list[nn.Module] = []
    for index, (before, after) in enumerate(pairwise(sizes)):
        last = index == len(sizes) - 2
        layer = nn.Linear(before, after)
        nn.init.orthogonal_(layer.weight, last_gain if last else 2**0.5, generator=generator)
        nn.init.zeros_(layer.bias)
        parts += [layer] if last else [layer, nn.Tanh()]
    return nn.Sequential(*parts)


def advantages_of(
    rewards: Tensor, values: Tensor, dones: Tensor, last_value: Tensor, gamma: float, gae_lambda: float
) -> Tensor:
    """Generalised advantages (T, N).

    Args:
        rewards, values: (T, N), of each step and at the observation before it.
        dones: (T, N) 1.0 where the step ended an episode, so that nothing after it counts, else 0.0.
        last_value: (N,) at the observation after the last step.
    """
    advantages, following = torch.zeros_like(rewards), torch.zeros_like(last_value)
    after = last_value
    for t in reversed(range(len(rewards))):
        going_on = 1.0 - dones[t]
        surprise = rewards[t] + gamma * going_on * after - values[t]
        following = surprise + gamma * gae_lambda * going_on * following
        advantages[t], after = following, values[t]
    return advantages


def train(env: gym.vector.VectorEnv, args: Args, log: Callable[[dict[str, float]], None]) -> Agent:
    """An agent trained on a vector environment with flat observations and actions that resets in the same step.

    Args:
        log: called after every iteration with what there is to tell.
    """
    count, steps = env.num_envs, args.n_steps
    (observation_size,), (action_size,) = env.single_observation_space.shape, env.single_action_space.shape
    generator = torch.Generator().manual_seed(args.seed)
    agent = Agent(observation_size, action_size, args, generator)
    optimizer = torch.optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5)
    observation = torch.from_numpy(env.reset(seed=args.seed)[0])

    # Storage of an iteration.
    observations = torch.zeros(steps, count, observation_size)
    actions = torch.zeros(steps, count, action_size)
    log_probs, rewards, dones, values = torch.zeros(4, steps, count).unbind()
    returns, finished = np.zeros(count), []

    begun = time.monotonic()
    for iteration in range(1, max(1, args.total_timesteps // (count * steps)) + 1):
        # Dream. The environment clips actions; their probabilities are those before that.
        finished.clear()
        for t in range(steps):
            with torch.no_grad():
                policy = agent.policy(observation)
                action = policy.mean + policy.stddev * torch.randn(policy.mean.shape, generator=generator)
                observations[t], actions[t], values[t] = observation, action, agent.value(observation)
                log_probs[t] = policy.log_prob(action).sum(-1)
            seen, paid, terminated, truncated, infos = env.step(action.numpy())
            done = terminated | truncated
            observation, rewards[t], dones[t] = torch.from_numpy(seen), torch.from_numpy(paid), torch.from_numpy(done)
            returns += paid
            for i in np.flatnonzero(done):
                finished.append((returns[i], float(infos["final_info"].get("success", np.zeros(count))[i])))
                returns[i] = 0.0
                if not terminated[i]:
                    # The episode was cut off, not over: what would have come counts as the critic expects it.
                    with torch.no_grad():
                        rewards[t, i] += args.gamma * agent.value(torch.from_numpy(infos["final_obs"][i]))

        # Judge each action by how much better than expected things went.
        with torch.no_grad():
            advantages = advantages_of(rewards, values, dones, agent.value(observation), args.gamma, args.gae_lambda)
        targets = advantages + values
        flat = [part.flatten(0, 1) for part in (observations, actions, log_probs, advantages, targets)]

        # Learn.
        kl, losses = 0.0, []
        for _ in range(args.n_epochs):
            order = torch.randperm(count * steps, generator=generator)
            for rows in order.split(args.batch_size):
                seen_then, did, old, advantage, target = (part[rows] for part in flat)
                policy = agent.policy(seen_then)
                change = policy.log_prob(did).sum(-1) - old
                ratio = change.exp()
                kl = (ratio - 1 - change).mean().item()
                if args.target_kl is not None and kl > 1.5 * args.target_kl:
                    break
                if len(rows) > 1:
                    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                limited = ratio.clamp(1 - args.clip_range, 1 + args.clip_range)
                policy_loss = -torch.min(ratio * advantage, limited * advantage).mean()
                value_loss = (agent.value(seen_then) - target).square().mean()
                optimizer.zero_grad()
                (policy_loss + 0.5 * value_loss).backward()
                nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
                optimizer.step()
                losses.append((policy_loss.item(), value_loss.item()))
            else:
                continue
            break  # the policy has moved as far as this iteration's chunks can tell

        row = {"timesteps": iteration * count * steps, "seconds": time.monotonic() - begun, "episodes": len(finished)}
        row["return"], row["success"] = np.array(finished or [(np.nan, np.nan)]).mean(0).tolist()
        row["policy_loss"], row["value_loss"] = np.array(losses or [(np.nan, np.nan)]).mean(0).tolist()
        log({**row, "kl": kl, "std": agent.log_std.detach().exp().mean().item()})
    return agent


def evaluate(agent: Agent, args: Args) -> tuple[list[bool], list[int]]:
    """Success and length in chunks of `episodes` in the real simulator, each environment playing equally many.

    (Whichever end first would be too many short ones, and short ones are the solved ones.)
    """
    count = min(args.real_envs, args.episodes)
    options = {"start": "task", "workers": args.workers, "autoreset_mode": "SameStep"}
    env = gym.make_vec("RLAReal-v0", num_envs=count, ckpt=args.ckpt, **options)
    observation, _ = env.reset(seed=1_000_000 * (args.seed + 1))
    quota = -(-args.episodes // count)
    successes: list[list[bool]] = [[] for _ in range(count)]
    lengths: list[list[int]] = [[] for _ in range(count)]
    running = np.zeros(count, np.int64)
    while min(map(len, successes)) < quota:
        observation, _, terminated, truncated, infos = env.step(agent.act(observation))
        running += 1
        for i in np.flatnonzero(terminated | truncated):
            if len(successes[i]) < quota:
                successes[i].append(bool(infos["final_info"]["success"][i]))
                lengths[i].append(int(running[i]))
            running[i] = 0
    env.close()
    played = [pair for i in range(count) for pair in zip(successes[i], lengths[i], strict=True)]
    return [success for success, _ in played], [length for _, length in played]


def main(args: Args) -> dict[str, float]:
    # Nothing else in the folder is touched, and no other run writes there meanwhile.
    with rla_gym.output(args.out, "agents/ppo_torch.py", ("agent.safetensors", "result.json", "progress.csv")) as out:
        return run(args, out)


def run(args: Args, out: rla_gym.Output) -> dict[str, float]:
    torch.set_num_threads(args.threads)

    # Environment: one batch of dreams.
    env = gym.make_vec(
        "RLAWorld-v0",
        num_envs=args.num_envs,
        ckpt=args.ckpt,
        autoreset_mode="SameStep",
        reward=args.reward,
        metric=args.metric,
        time_limit=args.time_limit,
        p_initial_frame=args.p_initial_frame,
        precision=args.precision,
    )

    # Training: a line of progress.csv and of the screen for each iteration.
    rows: list[dict[str, float]] = []

    def log(row: dict[str, float]) -> None:
        rows.append(row)
        print("  ".join(f"{name} {value:.4g}" for name, value in row.items()))

    sizes = env.single_observation_space.shape[0], env.single_action_space.shape[0]
    fresh = Agent(*sizes, args, torch.Generator().manual_seed(args.seed))
    task = rla_gym.load_checkpoint(args.ckpt).config.task
    simulated = rla_gym.is_simulated(task)
    before = evaluate(fresh, args)[0] if simulated else []
    agent = train(env, args, log)
    with out.writing("progress.csv") as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)

    with out.writing("agent.safetensors") as path:
        save_file(agent.state_dict(), path)

    # A recorded robot has no simulator: the agent is all there is.
    if not simulated:
        print(f"{task} has no simulator to evaluate in; the agent is {out.folder / 'agent.safetensors'}")
        out.write_json("result.json", {"args": asdict(args), "episodes": 0})
        env.close()
        return {"episodes": 0}

    # Evaluation: what the dream taught is worth what it does in the real simulator.
    after, lengths = evaluate(agent, args)
    result = {"real_before": float(np.mean(before)), "real_after": float(np.mean(after)), "episodes": len(after)}
    print(f"real simulator: {100 * result['real_before']:.1f} % before, {100 * result['real_after']:.1f} % after")
    raw = {"args": asdict(args), **result, "before": before, "after": after, "lengths": lengths}
    out.write_json("result.json", raw)
    env.close()
    return result


if __name__ == "__main__":
    main(tyro.cli(Args))
