"""Each agent script runs on a small checkpoint, writes what it says, and its agent loads and acts."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO, SAC

import rla_gym
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.resolve import ENCODER
from rla_gym.checkpoint.store import save_checkpoint

AGENTS = Path(__file__).parents[2] / "agents"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"agents_{name}", AGENTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


JUDGING = {"episodes": 3, "workers": 0}


def run(name: str, checkpoint: Path, out: Path, **options: Any) -> dict[str, Any]:
    module = load(name)
    module.main(module.Args(ckpt=str(checkpoint), out=str(out), **JUDGING, **options))
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    assert len(result["lengths"]) >= 3 and all(1 <= length <= 12 for length in result["lengths"])
    return result


def test_bc_saves_what_it_learned_and_ppo_goes_on_from_it(checkpoint: Path, bundle: Bundle, tmp_path: Path) -> None:
    result = run("bc", checkpoint, tmp_path / "bc", num_envs=2, epochs=60, held_out=0.34)
    module = load("bc")
    pairs = module.load_pairs(module.Args(ckpt=str(checkpoint)), bundle)
    assert result["demonstrations"] == len(pairs)
    agent = PPO.load(tmp_path / "bc" / "agent.zip", device="cpu")
    # The saved agent takes plain observations, as standardisation went into its first layer: the error that training
    # saw on the held-out episodes is the error of the file.
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0)).tolist()
    held_out = [pairs[i] for i in order[: round(0.34 * len(pairs))]]
    seen, done = (torch.cat(parts).numpy() for parts in zip(*held_out, strict=True))
    with torch.no_grad():
        mean = agent.policy.get_distribution(torch.from_numpy(seen)).distribution.mean.numpy()
    assert np.square(mean - done).mean() == pytest.approx(result["held_out_error"], rel=1e-3)
    actions, _ = agent.predict(seen, deterministic=True)

    start = str(tmp_path / "bc" / "agent.zip")
    settings = {"num_envs": 4, "total_timesteps": 32, "n_steps": 8, "n_epochs": 1, "real_envs": 2}
    run("ppo_sb3", checkpoint, tmp_path / "ppo", start=start, **settings)
    trained = PPO.load(tmp_path / "ppo" / "agent.zip", device="cpu")
    moved = np.abs(trained.predict(seen, deterministic=True)[0] - actions).max()
    assert 0 < moved < 0.5


def test_bc_takes_a_dataset(checkpoint: Path, recorded: Any, tmp_path: Path) -> None:
    folder = str(Path(recorded.path).parent)
    result = run("bc", checkpoint, tmp_path, dataset=folder, num_envs=2, epochs=2, demonstrations=3)
    assert result["demonstrations"] == 3


def test_sac(checkpoint: Path, tmp_path: Path) -> None:
    settings = {"num_envs": 4, "total_timesteps": 48, "learning_starts": 16, "gradient_steps": 1, "real_envs": 2}
    result = run("sac_sb3", checkpoint, tmp_path, **settings)
    assert len(result["before"]) == len(result["after"])
    agent = SAC.load(tmp_path / "agent.zip", device="cpu")
    assert agent.predict(np.zeros(agent.observation_space.shape, np.float32))[0].shape == (8,)


@pytest.mark.parametrize("name", ["bc", "ppo_sb3", "sac_sb3"])
def test_every_argument_is_explained(name: str) -> None:
    import dataclasses
    import inspect

    arguments = load(name).Args
    source = inspect.getsource(arguments).splitlines()
    for field in dataclasses.fields(arguments):
        line = next(i for i, text in enumerate(source) if text.startswith(f"    {field.name}: "))
        assert source[line + 1].strip().startswith('"""'), f"{name}: {field.name} has no docstring"


@pytest.fixture
def robot(checkpoint: Path, bundle: Bundle, tmp_path: Path) -> Path:
    """The small checkpoint as one of a robot's recordings, whose task has no simulator."""
    config = replace(bundle.config, name="robot", task="my-robot")
    return save_checkpoint(tmp_path / "robot", replace(bundle, config=config, encoder_path=checkpoint / ENCODER))


SMALL = {"num_envs": 4, "total_timesteps": 64}


@pytest.mark.parametrize(
    ("name", "file", "options"),
    [
        ("bc", "agent.zip", {"epochs": 2}),
        ("ppo_sb3", "agent.zip", {**SMALL, "n_steps": 8, "n_epochs": 1}),
        ("sac_sb3", "agent.zip", {**SMALL, "learning_starts": 16, "gradient_steps": 1}),
        ("her_sb3", "agent.zip", {**SMALL, "learning_starts": 50, "gradient_steps": 1, "success_threshold": 0.05}),
        ("ppo_torch", "agent.safetensors", {**SMALL, "n_steps": 8, "n_epochs": 1, "hidden": (16,)}),
    ],
)
def test_an_agent_of_a_recorded_robot_is_trained_and_saved(
    name: str, file: str, options: dict[str, Any], robot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load(name)
    out = tmp_path / "out"
    module.main(module.Args(ckpt=str(robot), out=str(out), **options))
    assert "my-robot has no simulator to evaluate in" in capsys.readouterr().out
    assert (out / file).is_file() and json.loads((out / "result.json").read_text())["episodes"] == 0
    if name in ("bc", "ppo_sb3"):
        policy = rla_gym.RobotPolicy(robot, out / file)
        felt = np.zeros(policy.bundle.config.proprio_size)
        assert policy.act(np.zeros((112, 112, 3), np.uint8), felt).shape == (4, 2)


def test_an_agent_replaces_its_own_files_alone(robot: Path, tmp_path: Path) -> None:
    module, out = load("bc"), tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("notes")
    arguments = module.Args(ckpt=str(robot), out=str(out), epochs=1)
    module.main(arguments)
    first = (out / "agent.zip").stat().st_mtime_ns
    module.main(arguments)
    assert (out / "agent.zip").stat().st_mtime_ns > first
    (out / "agent.zip").write_text("another agent")
    with pytest.raises(FileExistsError, match=r"agent.zip was changed since `agents/bc.py` wrote it.*move it"):
        module.main(arguments)
    assert (out / "agent.zip").read_text() == "another agent" and (out / "notes.txt").read_text() == "notes"
    other = load("sac_sb3")
    with pytest.raises(FileExistsError, match="was written by `agents/bc.py`: choose another folder"):
        other.main(other.Args(ckpt=str(robot), out=str(out)))
