"""Runs of the demonstration with different seeds become one result, with intervals over all episodes."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.merge_demo import merged


def run(seeds: dict[int, tuple[int, int]], out: str, **config: Any) -> dict[str, Any]:
    """A result with ten real episodes a seed, of which so many were solved before and after."""

    def episodes(solved: int) -> dict[str, Any]:
        return {"episodes": [{"success": number < solved} for number in range(10)]}

    return {
        "config": {"ckpt": "push-cube", "seeds": list(seeds), "out": out, "gamma": 0.95, **config},
        "checkpoint": {"name": "push-cube"},
        "seconds": 10.0,
        "memory_mib": {"process": 100.0 * len(seeds)},
        "summary": {},
        "seeds": [
            {
                "seed": seed,
                "real_before": episodes(before),
                "real_after": episodes(after),
                "dream_before": episodes(before),
                "dream_after": episodes(after),
            }
            for seed, (before, after) in seeds.items()
        ],
    }


def test_seeds_are_put_in_order_and_counted_together() -> None:
    found = merged([run({3: (2, 6)}, "a"), run({0: (4, 4), 1: (0, 2)}, "b")])
    assert found["config"]["seeds"] == [0, 1, 3] == [seed["seed"] for seed in found["seeds"]]
    real = found["summary"]["real"]
    assert real["episodes"] == 30
    assert (real["before"], real["after"]) == (pytest.approx(6 / 30), pytest.approx(12 / 30))
    assert real["difference"]["gained"] == 6 and real["difference"]["lost"] == 0
    assert found["seconds"] == 20.0 and found["memory_mib"]["process"] == 200.0


def test_runs_of_other_settings_or_with_a_seed_in_common_are_refused() -> None:
    with pytest.raises(ValueError, match="gamma"):
        merged([run({0: (1, 2)}, "a"), run({1: (1, 2)}, "b", gamma=0.9)])
    with pytest.raises(ValueError, match="share seeds"):
        merged([run({0: (1, 2)}, "a"), run({0: (1, 2)}, "b")])
