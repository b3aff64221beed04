"""What is printed and kept of a demonstration."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.learning.config import DemoConfig
from rla_gym.learning.evaluate import metres_to_target
from rla_gym.learning.speed import DreamSpeed
from rla_gym.utils.provenance import commit, versions
from rla_gym.utils.statistics import difference_text, paired_difference, rate_text, wilson

if TYPE_CHECKING:
    from rla_gym.learning.seed_run import SeedResult

KIB_A_MIB = 1024


def as_dict(config: DemoConfig, bundle: Bundle, results: Sequence[SeedResult], speed: DreamSpeed) -> dict[str, Any]:
    """JSON-able: configuration, surroundings, summary and every raw episode."""
    names = bundle.config.object_names
    seeds = [seed_dict(result, names) for result in results]
    return {
        "config": asdict(config),
        "checkpoint": {"name": bundle.config.name, "task": bundle.config.task, "metrics": dict(bundle.config.metrics)},
        "commit": commit(),
        "versions": versions(),
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "seconds": sum(sum(result.seconds.values()) for result in results),
        "memory_mib": memory_mib(),
        "dream_speed": speed.to_dict(),
        "summary": summary(seeds),
        "seeds": seeds,
    }


def seed_dict(result: SeedResult, object_names: Sequence[str]) -> dict[str, Any]:
    """One seed's results."""
    demonstrations = result.demonstrations
    evaluations = {
        "real_before": result.before,
        "real_after": result.after,
        "dream_before": result.dream_before,
        "dream_after": result.dream_after,
    }
    if result.simulator is not None:
        evaluations["real_after_simulator"] = result.simulator[1]
    found = {
        name: evaluation.to_dict() | {"metres_to_target": metres_to_target(evaluation, object_names)}
        for name, evaluation in evaluations.items()
    }
    return {
        "seed": result.seed,
        "demonstrations": {
            "source": demonstrations.source,
            "count": len(demonstrations),
            "tried": demonstrations.tried,
            "noise": demonstrations.noise,
            "pairs": len(demonstrations.chunks),
            "seeds": list(demonstrations.seeds),
        },
        "cloning": asdict(result.cloned),
        "training": result.trained.to_dict() | {"selection": "last iterate"},
        "simulator_training": result.simulator[0].to_dict() if result.simulator else None,
        "seconds": result.seconds,
        "difference": asdict(paired_difference(result.before.successes, result.after.successes)),
        **found,
    }


def summary(seeds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rates over the episodes of all seeds, and their differences on the same starts, of what `seed_dict` gave."""
    parts = {"real": ("real_before", "real_after"), "dream": ("dream_before", "dream_after")}
    if any("real_after_simulator" in seed for seed in seeds):
        parts["real_after_simulator"] = ("real_before", "real_after_simulator")
    found: dict[str, Any] = {}
    for name, (first, second) in parts.items():
        compared = [seed for seed in seeds if second in seed]
        before, after = (
            [bool(episode["success"]) for seed in compared for episode in seed[part]["episodes"]]
            for part in (first, second)
        )
        found[name] = {
            "episodes": len(before),
            "before": float(np.mean(before)),
            "before_interval": list(wilson(sum(before), len(before))),
            "after": float(np.mean(after)),
            "after_interval": list(wilson(sum(after), len(after))),
            "difference": asdict(paired_difference(before, after)),
        }
    return found


def table(result: dict[str, Any]) -> str:
    """The table that the demonstration prints, of what `as_dict` gave."""
    lines = [
        f"{'solved episodes':<34}{'BC policy':>22}{'after PPO':>22}{'difference':>24}",
        *(_row(label, found) for label, found in _rows(result)),
        "",
        "intervals: 95 %, Wilson for rates, bootstrap over the same starts for differences",
        f"final distance to the target: {_metres(result)}",
        f"time: {result['seconds']:.0f} s in all; "
        + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in _seconds(result).items()),
        _speed(result),
        f"memory: {result['memory_mib']['process']:.0f} MiB, and at most {result['memory_mib']['largest_worker']:.0f} "
        "MiB in the largest worker",
    ]
    return "\n".join(lines)


def _rows(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    rows = []
    if len(result["seeds"]) > 1:
        for seed in result["seeds"]:
            before, after = seed["real_before"], seed["real_after"]
            rows.append(
                (
                    f"real simulator, seed {seed['seed']}",
                    {
                        "before": before["rate"],
                        "before_interval": before["interval"],
                        "after": after["rate"],
                        "after_interval": after["interval"],
                        "difference": seed["difference"],
                    },
                )
            )
    labels = {
        "real": "real simulator",
        "dream": "dream, recorded starts",
        "real_after_simulator": "real, PPO in the simulator",
    }
    for name, found in result["summary"].items():
        rows.append((f"{labels[name]} ({found['episodes']})", found))
    return rows


def _row(label: str, found: dict[str, Any]) -> str:
    cells = [rate_text(found[part], found[f"{part}_interval"]) for part in ("before", "after")]
    change = difference_text(*(found["difference"][name] for name in ("difference", "low", "high")))
    return f"{label:<34}{cells[0]:>22}{cells[1]:>22}{change:>24}"


def _speed(result: dict[str, Any]) -> str:
    """Chunks a second of the dream alone and of PPO in it."""
    alone = result["dream_speed"]
    trained = sum(seed["training"]["timesteps"] for seed in result["seeds"])
    return (
        f"dream: {alone['chunks_per_second']:.0f} chunks a second alone ({alone['num_envs']} side by side, "
        f"{alone['threads']} thread{'s' * (alone['threads'] != 1)}), "
        f"{trained / _seconds(result)['dream training']:.0f} with PPO and its penalty"
    )


def _metres(result: dict[str, Any]) -> str:
    pairs = [[seed[name]["metres_to_target"] for name in ("real_before", "real_after")] for seed in result["seeds"]]
    if any(value is None for pair in pairs for value in pair):
        return "not told by this task"
    before, after = np.mean(pairs, axis=0) * 1000
    return f"{before:.0f} mm with the BC policy, {after:.0f} mm after PPO (real)"


def _seconds(result: dict[str, Any]) -> dict[str, float]:
    total: dict[str, float] = {}
    for seed in result["seeds"]:
        for name, seconds in seed["seconds"].items():
            total[name] = total.get(name, 0.0) + seconds
    return total


def memory_mib() -> dict[str, float]:
    """Peak resident memory of this process, and at most that of its largest ended worker.

    Linux counts what a child shared with its parent before it was another program, so the second is a bound.
    """
    return {
        "process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_A_MIB,
        "largest_worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / KIB_A_MIB,
    }
