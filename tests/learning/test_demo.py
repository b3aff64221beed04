"""The whole demonstration on a small checkpoint."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
import pytest
from stable_baselines3 import PPO

from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.envs.real_vector import RLARealVecEnv
from rla_gym.learning import DemoConfig, main, seed_run
from rla_gym.learning.evaluate import run_episodes
from rla_gym.learning.seeds import stream_seed


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


def test_a_killed_run_resumes_to_the_same_results(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed twice: the policy and all episodes are those of one run, to the last bit."""
    config = DemoConfig(
        ckpt=str(checkpoint), out=str(tmp_path / "whole"), demonstrations=2, clone_epochs=2, num_envs=4, n_steps=4,
        batch_size=8, n_epochs=1, timesteps=48, warmup_iterations=1, dream_checks=1, episodes=2, real_envs=2, workers=0,
        dream_references="train", videos=0, precision="float32",
    )  # fmt: skip
    whole = main(config)
    resumed = replace(config, out=str(tmp_path / "resumed"))

    def killed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    # When it begins to train, and while it evaluates the agent.
    for part in ("anchored_training", "evaluate_real"):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(seed_run, part, killed)
            main(resumed)
    capsys.readouterr()
    again = main(resumed)
    told = capsys.readouterr().err
    assert "recording demonstrations" not in told and "PPO in dreams" not in told

    def learned(result: dict[str, Any]) -> list[Any]:
        seed = result["seeds"][0]
        parts = [seed[name] for name in ("demonstrations", "cloning", "real_before", "real_after", "dream_after")]
        return [*parts, [{**point, "seconds": 0} for point in seed["training"]["curve"]], seed["training"]["checks"]]

    assert learned(again) == learned(whole)
    policies = [
        PPO.load(tmp_path / name / "agent.zip", device="cpu").policy.state_dict() for name in ("whole", "resumed")
    ]
    assert all(np.array_equal(value, policies[1][name]) for name, value in policies[0].items())
    assert not (tmp_path / "resumed" / ".stages").exists()
    (tmp_path / "whole" / "result.json").write_text("a user's")
    with pytest.raises(FileExistsError, match="was changed since"):
        main(config)


def test_wrong_settings_are_refused() -> None:
    refused: list[dict[str, Any]] = [
        {"seeds": ()},
        {"seeds": (1, 1)},
        {"episodes": 0},
        {"kl_weight": -1.0},
        {"demonstrations": 1},
        {"dream_checks": -1},
        {"simulator_timesteps": -1},
    ]
    for wrong in refused:
        with pytest.raises(ValueError, match="expected"):
            DemoConfig(**wrong)
