"""How the demonstration's settings were chosen: several settings from the same clones, on seeds that are not reported.

    python -m benchmarks.demo_settings --settings '{"learning_rate": 1e-3}' '{"learning_rate": 3e-4}' \\
        --seeds 10 11 --out benchmarks/results/demo-settings.json

Each setting starts from the same behaviour clone of a seed and is judged on the same real episodes, which no other seed
has. The demonstration is then run with the setting that gained most on average, on other seeds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro

from benchmarks.record import run_record
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.learning.bc import clone, make_agent
from rla_gym.learning.config import DemoConfig
from rla_gym.learning.demonstrations import record_demonstrations
from rla_gym.learning.parts import anchored_training, dream_env, evaluate_dream, evaluate_real
from rla_gym.learning.speed import with_precision
from rla_gym.tasks import make_task
from rla_gym.utils.files import write_json


@dataclass(frozen=True)
class Args:
    """What is compared."""

    settings: tuple[str, ...]
    """Options of `DemoConfig`, each a JSON object; `{}` is the defaults."""
    seeds: tuple[int, ...] = (10, 11)
    ckpt: str = "push-cube"
    episodes: int = 200
    """Real episodes of each setting and seed."""
    out: Path = Path("benchmarks/results/demo-settings.json")


def compare(args: Args, seed: int) -> list[dict[str, Any]]:
    """Results of every setting on one seed: shares solved before and after, in reality and in the dream."""
    bundle = load_checkpoint(args.ckpt)
    base = with_precision(DemoConfig(ckpt=args.ckpt, episodes=args.episodes, workers=0, videos=0), bundle)
    task = make_task(bundle.config.task, **bundle.config.task_options)
    demonstrations = record_demonstrations(bundle, task, base.demonstrations, base.demonstration_noise, seed)
    task.close()
    cloned = make_agent(base, dream_env(base, bundle), demonstrations, seed)
    clone(cloned.policy, demonstrations, base, seed)
    start = {name: value.clone() for name, value in cloned.policy.state_dict().items() if name != "log_std"}
    before = evaluate_real(cloned, base, bundle, seed)
    found = []
    for text in args.settings:
        config = replace(base, **json.loads(text))
        env = dream_env(config, bundle)
        agent = make_agent(config, env, demonstrations, seed)
        agent.policy.load_state_dict(start, strict=False)  # all but the spread of exploration
        dream_before = evaluate_dream(agent, config, bundle, seed)
        trained = anchored_training(agent, env, config, demonstrations, seed)
        dream_after, after = evaluate_dream(agent, config, bundle, seed), evaluate_real(agent, config, bundle, seed)
        row = {
            "seed": seed,
            "settings": json.loads(text),
            "real": [before.rate, after.rate],
            "dream": [dream_before.rate, dream_after.rate],
            "chunks": trained.timesteps,
            "seconds": trained.seconds,
        }
        print(json.dumps(row), flush=True)
        found.append(row)
    return found


def main(args: Args) -> None:
    """Compare, and write the JSON."""
    rows = [row for seed in args.seeds for row in compare(args, seed)]
    write_json(args.out, {**run_record(), "episodes": args.episodes, "rows": rows})


if __name__ == "__main__":
    main(tyro.cli(Args))
