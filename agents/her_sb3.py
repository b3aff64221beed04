"""SAC with hindsight experience replay (Stable-Baselines3), trained in dreams and judged in the real simulator.

The agent learns to bring about any recorded frame. Gradient steps are what takes the time: about 60 a second on a CPU
core. `SAC.load("agent.zip", env=rla_gym.RLAWorldGoalVecEnv(...))` loads what was saved: replay buffers ask for one.

    python agents/her_sb3.py --ckpt push-cube --total-timesteps 30000
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
import tyro
from stable_baselines3 import SAC, HerReplayBuffer
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import VecMonitor

import rla_gym


@dataclass
class Args:
    ckpt: str = "push-cube"
    """checkpoint: folder, built-in name or hub id"""
    out: str = "runs/her"
    """folder for agent.zip, result.json and progress.csv"""
    seed: int = 0
    """seed of the dreams and the network"""
    threads: int = 1
    """threads of torch; more than the free cores is much slower"""
    total_timesteps: int = 30_000
    """chunks to dream, over all environments"""
    num_envs: int = 16
    """dreams side by side"""

    reward: str = "sparse"
    """"sparse": -1 a chunk until the goal is reached; "goal": minus the distance to it"""
    metric: str = "objects"
    """what a goal is: "objects", keypoints by how well they follow objects, or "features", all alike"""
    success_threshold: float | None = None
    """distance at which a goal counts as reached; none: the checkpoint's"""
    time_limit: int | None = None
    """chunks of a dream; none: the checkpoint's"""
    p_initial_frame: float = 0.5
    """share of dreams that start at a recording's first frame, the others anywhere in it"""
    precision: str = "bf16"
    """of the world model: "bf16" or "float32\""""

    n_sampled_goal: int = 4
    """relabelled transitions for each one with its own goal"""
    goal_selection_strategy: str = "future"
    """where new goals are taken from: "future", "final" or "episode\""""
    learning_rate: float = 3e-4
    """of Adam"""
    buffer_size: int = 100_000
    """chunks kept"""
    learning_starts: int = 1_000
    """chunks of random actions before learning; every dream must have ended once"""
    batch_size: int = 256
    """of a gradient step"""
    gradient_steps: int = 8
    """after each step of all environments"""
    gamma: float = 0.95
    """discount a chunk"""
    ent_coef: str = "auto_0.05"
    """weight of the entropy: a number, or "auto_" and the first value of a learned one"""
    tau: float = 0.01
    """how fast the target network follows"""
    hidden: tuple[int, ...] = (128, 128)
    """widths of the hidden layers"""

    judged: str = "test"
    """whose last frames are to be brought about in the real simulator: "test", "validation", "train" or "all\""""
    workers: int = 2
    """processes that the real simulators run in"""


def evaluate(agent: SAC, args: Args) -> tuple[list[bool], list[float]]:
    """For each judged recording, in the real simulator from its first state: whether the task was solved, and how far
    its last frame was from the recording's, the goal."""
    bundle = rla_gym.load_checkpoint(args.ckpt)
    references = bundle.references
    numbers = references.select(args.judged)
    last = references.starts[numbers] + references.lengths[numbers] - 1
    weights = bundle.object_weights.numpy() if args.metric == "objects" else np.ones(bundle.config.features.size)
    goals = bundle.feature_map(bundle.standardize(references.tokens[last])).numpy() * weights
    env = rla_gym.RLARealVecEnv(
        args.ckpt, len(numbers), args.workers, references=numbers.tolist(), reward="success", metric=args.metric
    )
    env.set_options([{"reference": int(number), "frame": 0} for number in numbers])
    seen, playing = env.reset(), np.ones(len(numbers), bool)
    solved, distances = np.zeros(len(numbers), bool), np.zeros(len(numbers))
    while playing.any():
        achieved = seen[:, : len(weights)] * weights
        observation = {"observation": seen, "achieved_goal": achieved, "desired_goal": goals}
        actions, _ = agent.predict(observation, deterministic=True)
        seen, _, dones, infos = env.step(actions)
        for i in np.flatnonzero(playing & dones):
            solved[i], distances[i], playing[i] = infos[i]["success"], infos[i]["goal_distance"], False
    env.close()
    return solved.tolist(), distances.tolist()


def main(args: Args) -> dict[str, float]:
    # Nothing else in the folder is touched, and no other run writes there meanwhile.
    with rla_gym.output(args.out, "agents/her_sb3.py", ("agent.zip", "result.json", "progress.csv")) as out:
        return run(args, out)


def run(args: Args, out: rla_gym.Output) -> dict[str, float]:
    torch.set_num_threads(args.threads)

    # Environment: one batch of dreams; VecMonitor adds episode returns to the log.
    env = VecMonitor(
        rla_gym.RLAWorldGoalVecEnv(
            args.ckpt,
            args.num_envs,
            reward=args.reward,
            metric=args.metric,
            success_threshold=args.success_threshold,
            time_limit=args.time_limit,
            p_initial_frame=args.p_initial_frame,
            precision=args.precision,
        ),
        info_keywords=("success", "goal_distance"),
    )

    # Agent.
    agent = SAC(
        "MultiInputPolicy",
        env,
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs={
            "n_sampled_goal": args.n_sampled_goal,
            "goal_selection_strategy": args.goal_selection_strategy,
        },
        learning_rate=args.learning_rate,
        buffer_size=args.buffer_size,
        learning_starts=args.learning_starts,
        batch_size=args.batch_size,
        train_freq=1,
        gradient_steps=args.gradient_steps,
        gamma=args.gamma,
        ent_coef=args.ent_coef if args.ent_coef.startswith("auto") else float(args.ent_coef),
        tau=args.tau,
        policy_kwargs={"net_arch": list(args.hidden)},
        seed=args.seed,
        device="cpu",
    )
    agent.set_logger(configure(str(out.folder), ["stdout", "csv"]))

    # Training. It is saved before anything else can fail.
    task = rla_gym.load_checkpoint(args.ckpt).config.task
    simulated = rla_gym.is_simulated(task)
    before, away_before = evaluate(agent, args) if simulated else ([], [])
    agent.learn(args.total_timesteps, log_interval=50)
    with out.writing("agent.zip") as path:
        agent.save(path)

    # A recorded robot has no simulator: the agent is all there is.
    if not simulated:
        print(
            f"{task} has no simulator to evaluate in; the agent is {out.folder / 'agent.zip'}; on the robot, give "
            "rla_gym.RobotPolicy a function that adds a goal to the observation"
        )
        out.write_json("result.json", {"args": asdict(args), "episodes": 0})
        env.close()
        return {"episodes": 0}

    # Evaluation: what the dream taught is worth what it does in the real simulator.
    after, away_after = evaluate(agent, args)
    result = {
        "real_before": float(np.mean(before)),
        "real_after": float(np.mean(after)),
        "distance_before": float(np.mean(away_before)),
        "distance_after": float(np.mean(away_after)),
        "episodes": len(after),
    }
    print(
        f"real simulator, {len(after)} recorded goals: {100 * result['real_before']:.1f} % solved before, "
        f"{100 * result['real_after']:.1f} % after; distance to the goal {result['distance_before']:.2f} before, "
        f"{result['distance_after']:.2f} after"
    )
    raw = {"before": before, "after": after, "distances_before": away_before, "distances_after": away_after}
    out.write_json("result.json", {"args": asdict(args), **result, **raw})
    env.close()
    return result


if __name__ == "__main__":
    main(tyro.cli(Args))
