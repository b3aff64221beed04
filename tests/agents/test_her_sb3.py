"""The HER script runs on a small checkpoint, writes what it says, and its agent loads and acts."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from stable_baselines3 import SAC

import rla_gym

PATH = Path(__file__).parents[2] / "agents" / "her_sb3.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("agents_her_sb3", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_her(script: ModuleType, checkpoint: Path, tmp_path: Path) -> None:
    settings = {"total_timesteps": 80, "learning_starts": 50, "num_envs": 4, "gradient_steps": 1, "batch_size": 32}
    result = script.main(
        script.Args(
            ckpt=str(checkpoint), out=str(tmp_path), success_threshold=0.05, judged="all", workers=0, **settings
        )
    )
    raw = json.loads((tmp_path / "result.json").read_text())
    assert len(raw["before"]) == len(raw["after"]) == len(raw["distances_after"]) == result["episodes"] >= 2
    assert min(raw["distances_after"]) > 0
    env = rla_gym.RLAWorldGoalVecEnv(checkpoint, 1, success_threshold=0.05)
    agent = SAC.load(tmp_path / "agent.zip", env=env, device="cpu")
    seen = {name: space.sample()[None] for name, space in agent.observation_space.spaces.items()}
    assert agent.predict(seen)[0].shape == (1, 8)


def test_every_argument_is_explained(script: ModuleType) -> None:
    source = inspect.getsource(script.Args).splitlines()
    for field in dataclasses.fields(script.Args):
        line = next(i for i, text in enumerate(source) if text.startswith(f"    {field.name}: "))
        assert source[line + 1].strip().startswith('"""'), f"{field.name} has no docstring"
