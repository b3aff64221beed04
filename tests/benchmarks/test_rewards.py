"""The measurement of rewards: paired noise, true replays, ranks one can check, and the built-in default's fall."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.rewards import Args, configurations, dreamt_rewards, judge, main, make_rollouts, spearman
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.rewards import VideoRewardConfig

SMALL = {"references": "all", "levels": (0.0, 0.5), "draws": 2, "chunks": 3, "starts": 3}


def test_rollouts_are_recorded_actions_with_the_same_noise_at_all_levels(bundle: Bundle) -> None:
    rollouts = make_rollouts(
        bundle, Args("small", references="all", levels=(0.0, 0.1, 0.2), draws=2, chunks=3, starts=4)
    )
    assert len(rollouts.start) == 4 * 5 and rollouts.chunks.shape == (20, 3, 4, 2)
    assert np.array_equal(rollouts.level[:5], [0.0, 0.1, 0.1, 0.2, 0.2])
    references = bundle.references
    row = int(references.starts[rollouts.reference[0]]) + rollouts.frame[0]
    recorded = bundle.scale_actions(references.actions[row : row + 12].numpy()).reshape(3, 4, 2)
    assert np.allclose(rollouts.chunks[0], recorded)
    noise = rollouts.chunks[:5] - recorded
    inside = (np.abs(rollouts.chunks[:5]) < 1).all(axis=0)  # not clipped at any level
    assert inside.sum() > 5 and np.allclose(2 * noise[1:3][:, inside], noise[3:5][:, inside], atol=1e-5)
    assert not np.allclose(noise[1], noise[2])


def test_ranks_on_numbers_one_can_check() -> None:
    assert spearman(np.array([1, 2, 3, 4]), np.array([1, 4, 9, 16])) == pytest.approx(1.0)
    assert spearman(np.array([1, 2, 3, 4]), np.array([8, 5, 3, 1])) == pytest.approx(-1.0)
    # Ranks 1, 2.5, 2.5, 4 against 1, 3, 2, 4.
    assert spearman(np.array([0, 1, 1, 2]), np.array([0, 2, 1, 3])) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert spearman(np.ones(4), np.arange(4)) == 0.0


def test_the_whole_measurement(checkpoint: Path, bundle: Bundle, tmp_path: Path) -> None:
    main(Args(str(checkpoint), tmp_path / "rewards.json", **SMALL))
    found = json.loads((tmp_path / "rewards.json").read_text())
    assert found["replay_error_mm"] < 1e-3  # recorded actions lead where they led
    assert len(found["rows"]) == len(configurations(bundle)) == 3 * 8 + 1
    for row in found["rows"]:
        assert set(row["mean_return"]) == {"0.0", "0.5"} and len(row["returns"]) == 3 * 3
        low, high = row["mean_return"]["0.5"][1:]
        assert low <= row["mean_return"]["0.5"][0] <= high
        assert all(-1 <= value <= 1 for value in row["spearman_scene"].values())


def test_the_built_in_default_pays_less_the_worse_the_actions() -> None:
    bundle = load_checkpoint("push-cube")
    rollouts = make_rollouts(bundle, Args(starts=8, draws=3))
    (paid,) = dreamt_rewards(bundle, rollouts, [VideoRewardConfig()])
    entry = judge(rollouts, paid, {}, seed=0)
    assert entry["monotone"], entry["mean_return"]
    assert entry["below_recorded"]["1.0"] > 0.7
