"""Behaviour cloning of demonstrations, judged in the real simulator. Saves an SB3 agent that PPO can go on with.

python agents/bc.py --ckpt push-cube --dataset data/push-cube --demonstrations 100
python agents/ppo_sb3.py --ckpt push-cube --start runs/bc/agent.zip
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass

import numpy as np
import torch
import tyro
from stable_baselines3 import PPO
from tqdm import trange

import rla_gym
from rla_gym.data import UNSKILLED, EpisodeDataset


@dataclass
class Args:
    ckpt: str = "push-cube"
    """checkpoint: folder, built-in name or hub id; its encoder and keypoint map make the observations"""
    dataset: str | None = None
    """dataset folder to clone from; none: the checkpoint's training references"""
    demonstrations: int = 100
    """at most this many successful episodes of skilled demonstrators"""
    out: str = "runs/bc"
    """folder for agent.zip and result.json"""
    seed: int = 0
    """seed of the split, the network and the evaluation"""

    hidden: tuple[int, ...] = (128, 128)
    """widths of the hidden layers"""
    epochs: int = 400
    """at most this many passes over the pairs"""
    patience: int = 60
    """epochs without a better held-out error before stopping"""
    learning_rate: float = 1e-3
    """of AdamW"""
    weight_decay: float = 1e-3
    """of AdamW"""
    noise: float = 0.05
    """standard deviation of noise on the standardised observations"""
    held_out: float = 0.2
    """share of the episodes that decides when to stop"""
    log_std: float = -1.2
    """exploration that the saved agent starts PPO with"""

    episodes: int = 100
    """real evaluation episodes"""
    num_envs: int = 20
    """real simulators side by side"""
    workers: int = 2
    """processes that they run in"""


def pairs(bundle: rla_gym.Bundle, tokens: torch.Tensor, proprio: np.ndarray, actions: np.ndarray):
    """Observations (n, F + P) and the chunks (n, K * A) that follow them, of an episode of T frames; n = T - K."""
    size = bundle.config.chunk
    windows = np.lib.stride_tricks.sliding_window_view(bundle.scale_actions(actions), size, axis=0)
    chunks = np.ascontiguousarray(windows.transpose(0, 2, 1).reshape(len(windows), -1).clip(-1, 1), np.float32)
    features = bundle.feature_map(tokens[: len(chunks)]).clamp(-1, 1)
    felt = bundle.standardize_proprio(torch.from_numpy(proprio[: len(chunks)])).clamp(-5, 5)
    return torch.cat([features, felt], dim=1), torch.from_numpy(chunks)


def load_pairs(args: Args, bundle: rla_gym.Bundle) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Pairs of each demonstration."""
    found = []
    if args.dataset is None:
        references = bundle.references
        for episode in references.select("train")[: args.demonstrations]:
            start, length = int(references.starts[episode]), int(references.lengths[episode])
            tokens = bundle.standardize(references.tokens[start : start + length])
            proprio = references.proprio[start : start + length].numpy()
            actions = references.actions[start : start + length - 1].numpy()
            found.append((tokens, proprio, actions))
    else:
        with EpisodeDataset(args.dataset) as dataset:
            solved = np.flatnonzero(dataset.successes).tolist()
            chosen = [i for i in solved if dataset.sources[i] not in UNSKILLED]
            for i in chosen[: args.demonstrations]:
                episode = dataset.episode(i)
                found.append((bundle.encode_frames(episode.frames), episode.proprio, episode.actions))
    usable = [part for part in found if len(part[2]) >= bundle.config.chunk]
    if len(usable) < 2:
        raise ValueError(f"{len(usable)} successful demonstrations longer than a chunk: at least 2 are needed")
    return [pairs(bundle, *part) for part in usable]


def evaluate(agent: PPO, args: Args) -> tuple[list[bool], list[int]]:
    """Success and length in chunks of `episodes` in the real simulator, each environment playing equally many.

    (Whichever end first would be too many short ones, and short ones are the solved ones.)
    """
    count = min(args.num_envs, args.episodes)
    env = rla_gym.RLARealVecEnv(args.ckpt, count, workers=args.workers, start="task")
    env.seed(1_000_000 * (args.seed + 1))
    observation, quota = env.reset(), -(-args.episodes // count)
    successes: list[list[bool]] = [[] for _ in range(count)]
    lengths: list[list[int]] = [[] for _ in range(count)]
    running = np.zeros(count, np.int64)
    while min(map(len, successes)) < quota:
        actions, _ = agent.predict(observation, deterministic=True)
        observation, _, dones, infos = env.step(actions)
        running += 1
        for i in np.flatnonzero(dones):
            if len(successes[i]) == quota:
                continue
            successes[i].append(infos[i]["success"])
            lengths[i].append(int(running[i]))
            running[i] = 0
    env.close()
    played = [pair for i in range(count) for pair in zip(successes[i], lengths[i], strict=True)]
    return [success for success, _ in played], [length for _, length in played]


def main(args: Args) -> dict[str, float]:
    # Nothing else in the folder is touched, and no other run writes there meanwhile.
    with rla_gym.output(args.out, "agents/bc.py", ("agent.zip", "result.json")) as out:
        return run(args, out)


def run(args: Args, out: rla_gym.Output) -> dict[str, float]:
    bundle = rla_gym.load_checkpoint(args.ckpt)
    generator = torch.Generator().manual_seed(args.seed)

    # Data: whole episodes are held out, as neighbouring frames are nearly the same.
    demonstrations = load_pairs(args, bundle)
    order = torch.randperm(len(demonstrations), generator=generator).tolist()
    size = max(1, round(args.held_out * len(order)))
    test_seen, test_done = (torch.cat(parts) for parts in zip(*(demonstrations[i] for i in order[:size]), strict=True))
    seen, done = (torch.cat(parts) for parts in zip(*(demonstrations[i] for i in order[size:]), strict=True))
    mean, std = seen.mean(0), seen.std(0).clamp(min=0.02)

    # Network: the actor of SB3's PPO, so that PPO can go on with it.
    env = rla_gym.RLAWorldVecEnv(bundle, 1)
    net_arch = {"pi": list(args.hidden), "vf": list(args.hidden)}
    settings = {"net_arch": net_arch, "log_std_init": args.log_std}
    agent = PPO("MlpPolicy", env, policy_kwargs=settings, seed=args.seed, device="cpu")
    actor = torch.nn.Sequential(agent.policy.mlp_extractor.policy_net, agent.policy.action_net)
    optimizer = torch.optim.AdamW(actor.parameters(), lr=args.learning_rate, weight_decay=args.weight_decay)

    # Training: squared error of the mean action, on standardised observations.
    best, best_epoch, kept = float("inf"), 0, copy.deepcopy(actor.state_dict())
    for epoch in (bar := trange(args.epochs, desc="behaviour cloning")):
        for rows in torch.randperm(len(seen), generator=generator).split(64):
            noise = args.noise * torch.randn(len(rows), seen.shape[1], generator=generator)
            loss = (actor((seen[rows] - mean) / std + noise) - done[rows]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            error = float((actor((test_seen - mean) / std) - test_done).square().mean())
        if error < best:
            best, best_epoch, kept = error, epoch, copy.deepcopy(actor.state_dict())
        elif epoch - best_epoch >= args.patience:
            break
        bar.set_postfix(held_out=f"{best:.4f}")
    actor.load_state_dict(kept)
    with torch.no_grad():  # the first layer takes the standardisation over: the agent eats plain observations
        first = actor[0][0]
        first.weight.div_(std)
        first.bias.sub_(first.weight @ mean)

    # It is saved before anything else can fail; a recorded robot has no simulator to evaluate it in.
    with out.writing("agent.zip") as path:
        agent.save(path)
    learned = {"held_out_error": best, "demonstrations": len(demonstrations)}
    if not rla_gym.is_simulated(bundle.config.task):
        print(
            f"{bundle.config.task} has no simulator to evaluate in; the agent is {out.folder / 'agent.zip'}, "
            f"rla_gym.RobotPolicy runs it. Its error on held-out demonstrations: {best:.4f}"
        )
        out.write_json("result.json", {"args": asdict(args), **learned, "episodes": 0})
        return {**learned, "episodes": 0}

    # Evaluation.
    successes, lengths = evaluate(agent, args)
    result = {
        **learned,
        "real_success": float(np.mean(successes)),
        "episodes": len(successes),
    }
    rate = f"{100 * result['real_success']:.1f} % of {len(successes)} real episodes solved"
    print(f"BC policy of {len(demonstrations)} demonstrations: {rate}")
    raw = {"args": asdict(args), **result, "successes": successes, "lengths": lengths}
    out.write_json("result.json", raw)
    return result


if __name__ == "__main__":
    main(tyro.cli(Args))
