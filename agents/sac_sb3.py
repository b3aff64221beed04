"""SAC of Stable-Baselines3, trained in dreams and judged in the real simulator.

Gradient steps are what takes the time: about 60 a second on a CPU core.

    python agents/sac_sb3.py --ckpt push-cube --total-timesteps 30000
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
import tyro
from stable_baselines3 import SAC
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import VecMonitor

import rla_gym


@dataclass
class Args:
    ckpt: str = "push-cube"
    """checkpoint: folder, built-in name or hub id"""
    out: str = "runs/sac"
    """folder for agent.zip, result.json and progress.csv"""
    seed: int = 0
    """seed of the dreams, the network and the evaluation"""
    threads: int = 1
    """threads of torch; more than the free cores is much slower"""
    total_timesteps: int = 30_000
    """chunks to dream, over all environments"""
    num_envs: int = 16
    """dreams side by side"""

    reward: str | None = None
    """"progress", "goal" or "corresponding"; none: the checkpoint's"""
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
    buffer_size: int = 100_000
    """chunks kept"""
    learning_starts: int = 1_000
    """chunks of random actions before learning"""
    batch_size: int = 256
    """of a gradient step"""
    gradient_steps: int = 8
    """after each step of all environments"""
    gamma: float = 0.95
    """discount a chunk"""
    tau: float = 0.01
    """how fast the target network follows"""
    hidden: tuple[int, ...] = (128, 128)
    """widths of the hidden layers"""

    episodes: int = 100
    """real evaluation episodes, before and after"""
    real_envs: int = 20
    """real simulators side by side"""
    workers: int = 2
    """processes that they run in"""


def evaluate(agent: SAC, args: Args) -> tuple[list[bool], list[int]]:
    """Success and length in chunks of `episodes` in the real simulator, each environment playing equally many.

    (Whichever end first would be too many short ones, and short ones are the solved ones.)
    """
    count = min(args.real_envs, args.episodes)
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
    with rla_gym.output(args.out, "agents/sac_sb3.py", ("agent.zip", "result.json", "progress.csv")) as out:
        return run(args, out)


def run(args: Args, out: rla_gym.Output) -> dict[str, float]:
    torch.set_num_threads(args.threads)

    # Environment: one batch of dreams; VecMonitor adds episode returns to the log.
    env = VecMonitor(
        rla_gym.RLAWorldVecEnv(
            args.ckpt,
            args.num_envs,
            reward=args.reward,
            metric=args.metric,
            time_limit=args.time_limit,
            p_initial_frame=args.p_initial_frame,
            precision=args.precision,
        ),
        info_keywords=("success", "goal_distance"),
    )

    # Agent.
    agent = SAC(
        "MlpPolicy",
        env,
        learning_rate=args.learning_rate,
        buffer_size=args.buffer_size,
        learning_starts=args.learning_starts,
        batch_size=args.batch_size,
        train_freq=1,
        gradient_steps=args.gradient_steps,
        gamma=args.gamma,
        tau=args.tau,
        policy_kwargs={"net_arch": list(args.hidden)},
        seed=args.seed,
        device="cpu",
    )
    agent.set_logger(configure(str(out.folder), ["stdout", "csv"]))

    # Training. It is saved before anything else can fail.
    task = rla_gym.load_checkpoint(args.ckpt).config.task
    simulated = rla_gym.is_simulated(task)
    before = evaluate(agent, args)[0] if simulated else []
    agent.learn(args.total_timesteps, log_interval=50)
    with out.writing("agent.zip") as path:
        agent.save(path)

    # A recorded robot has no simulator: the agent is all there is.
    if not simulated:
        agent_file = out.folder / "agent.zip"
        print(f"{task} has no simulator to evaluate in; the agent is {agent_file}, rla_gym.RobotPolicy runs it")
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
