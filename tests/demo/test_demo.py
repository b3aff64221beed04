"""The whole demonstration on a small checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
import pytest
from stable_baselines3 import PPO

from rla_gym.checkpoint import load_checkpoint
from rla_gym.demo import DemoConfig, main
from rla_gym.demo.evaluate import run_episodes
from rla_gym.demo.seeds import stream_seed
from rla_gym.envs.real_vector import RLARealVecEnv


@pytest.mark.slow
def test_the_demonstration_writes_what_it_found(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = DemoConfig(
        ckpt=str(checkpoint),
        out=str(tmp_path),
        seeds=(0, 1),
        demonstrations=2,
        clone_epochs=4,
        num_envs=4,
        n_steps=4,
        batch_size=8,
        n_epochs=1,
        timesteps=48,
        warmup_iterations=1,
        success_bonus=1.0,
        episodes=4,
        dream_references="train",
        real_envs=2,
        workers=0,
        dream_checks=1,
        simulator_timesteps=16,
        videos=1,
        held_out_references="train",
    )
    returned = main(config)
    dreams = len(load_checkpoint(checkpoint).references.select("train"))
    printed = capsys.readouterr().out
    assert "real simulator (8)" in printed and "seed 1" in printed
    assert f"dream, recorded starts ({2 * dreams})" in printed
    assert "chunks a second alone (4 side by side, 1 thread)" in printed
    saved = json.loads((tmp_path / "result.json").read_text())
    assert saved == json.loads(json.dumps(returned))
    assert saved["dream_speed"]["chunks_per_second"] > 0 and saved["dream_speed"]["num_envs"] == 4
    assert saved["summary"]["real"]["episodes"] == 8 and len(saved["seeds"]) == 2
    for seed in saved["seeds"]:
        assert len(seed["training"]["curve"]) == 3 and seed["training"]["selection"] == "last iterate"
        assert seed["demonstrations"]["count"] == 2
        assert seed["real_before"]["seed"] == seed["real_after"]["seed"]
    assert not set(saved["seeds"][0]["demonstrations"]["seeds"]) & set(saved["seeds"][1]["demonstrations"]["seeds"])

    # The saved agent is the one that was judged.
    env = RLARealVecEnv(checkpoint, 2, workers=0, start="task")
    again = run_episodes(PPO.load(tmp_path / "agent.zip", device="cpu"), env, 4, stream_seed("evaluation", 0))
    env.close()
    assert json.loads(json.dumps(again.to_dict()["episodes"])) == saved["seeds"][0]["real_after"]["episodes"]
    assert (tmp_path / "agent-1.zip").is_file()

    assert imageio.imread(tmp_path / "learning_curve.png").std() > 0
    frames = list(imageio.get_reader(tmp_path / "dream_vs_reality.mp4").iter_data())
    assert len(frames) == 12 * 4 + 1 + 8
    real = [frame[40:-20, frame.shape[1] // 2 + 20 : -20].astype(np.int64) for frame in frames]
    assert np.abs(real[0] - real[-1]).max() > 40  # something moved


def test_wrong_settings_are_refused() -> None:
    refused: list[dict[str, Any]] = [
        {"seeds": ()},
        {"seeds": (1, 1)},
        {"episodes": 0},
        {"kl_weight": -1.0},
        {"demonstrations": 1},
    ]
    for wrong in refused:
        with pytest.raises(ValueError, match="expected"):
            DemoConfig(**wrong)
