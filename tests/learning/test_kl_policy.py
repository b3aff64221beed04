"""The clone, its anchor, and what PPO makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.learning.bc import clone, held_out, make_agent
from rla_gym.learning.config import DemoConfig
from rla_gym.learning.demonstrations import Demonstrations
from rla_gym.learning.parts import dream_env
from rla_gym.learning.ppo import train

CONFIG = DemoConfig(
    num_envs=8, n_steps=4, batch_size=16, n_epochs=2, clone_epochs=80, timesteps=128, precision="float32"
)


@pytest.fixture(scope="module")
def demonstrations(bundle: Bundle) -> Demonstrations:
    """A linear law that a small network can find: chunk = 0.5 * a map of the observation."""
    generator = np.random.default_rng(0)
    size = bundle.config.features.size + bundle.config.proprio_size
    observations = generator.uniform(-1, 1, (400, size)).astype(np.float32)
    law = generator.normal(size=(size, 8)) / np.sqrt(size)
    chunks = np.tanh(observations @ law).astype(np.float32)
    return Demonstrations(observations, chunks, np.repeat(np.arange(10), 40), tuple(range(10)), 10, 0.0)


def fresh(bundle: Bundle, demonstrations: Demonstrations, config: DemoConfig = CONFIG) -> Any:
    return make_agent(config, dream_env(config, bundle), demonstrations, 0)


def test_cloning_keeps_the_best_and_beats_the_mean(bundle: Bundle, demonstrations: Demonstrations) -> None:
    agent = fresh(bundle, demonstrations)
    result = clone(agent.policy, demonstrations, CONFIG, 0)
    assert result.held_out_error < 0.3 * result.baseline_error
    test = np.isin(demonstrations.episode, held_out(10, CONFIG.clone_held_out, 0))
    assert test.sum() == 80
    actions, _ = agent.predict(demonstrations.observations[test], deterministic=True)
    error = np.square(actions - demonstrations.chunks[test]).mean()
    assert error <= result.held_out_error * 1.001  # clipping to the action space can only help


def test_kl_is_that_of_gaussians(bundle: Bundle, demonstrations: Demonstrations) -> None:
    agent = fresh(bundle, demonstrations)
    policy, seen = agent.policy, torch.from_numpy(demonstrations.observations[:32])
    policy.set_anchor(0.5)
    assert torch.all(policy.kl_to_anchor(seen) == 0)
    assert torch.all(policy.penalty(seen) == 0)
    with torch.no_grad():
        before, std_before = policy.mean_chunk(seen), policy.log_std.exp()
        policy.action_net.bias += 0.3
        policy.log_std += 0.2
        after, std_after = policy.mean_chunk(seen), policy.log_std.exp()
    by_hand = ((std_before / std_after).log() + (std_after**2 + (after - before) ** 2) / (2 * std_before**2) - 0.5).sum(
        1
    )
    torch.testing.assert_close(policy.kl_to_anchor(seen), by_hand)
    torch.testing.assert_close(policy.penalty(seen), 0.5 * by_hand)
    values, _, stand_in = policy.evaluate_actions(seen, after)
    torch.testing.assert_close(stand_in, -0.5 * by_hand)
    assert values.shape == (32, 1)


def test_bc_weight_pulls_to_the_demonstrations(bundle: Bundle, demonstrations: Demonstrations) -> None:
    policy = fresh(bundle, demonstrations).policy
    with pytest.raises(ValueError, match="needs demonstrations"):
        policy.set_anchor(0.0, 1.0)
    policy.set_anchor(0.0, 1.0, demonstrations)
    seen = torch.from_numpy(demonstrations.observations)
    error = (policy.mean_chunk(seen) - torch.from_numpy(demonstrations.chunks)).square().mean()
    assert float(policy.penalty(seen, batch=4000)[0].detach()) == pytest.approx(float(error.detach()), rel=0.1)


def test_a_heavy_anchor_holds_and_a_light_one_does_not(bundle: Bundle, demonstrations: Demonstrations) -> None:
    found = {}
    for weight in (0.0, 100.0):
        config = DemoConfig(
            num_envs=8,
            n_steps=4,
            batch_size=16,
            n_epochs=6,
            timesteps=160,
            warmup_iterations=0,
            kl_weight=weight,
            target_kl=None,
            learning_rate=1e-3,
            precision="float32",
        )
        agent = fresh(bundle, demonstrations, config)
        agent.policy.set_anchor(config.kl_weight)
        result = train(agent, config)
        assert result.timesteps == 160 and len(result.curve) == 5
        assert result.curve[0].kl_to_clone == 0.0
        found[weight] = result.curve[-1].kl_to_clone
    assert found[0.0] > 0
    assert found[100.0] < 0.3 * found[0.0]


def test_warming_up_trains_the_value_function_alone(bundle: Bundle, demonstrations: Demonstrations) -> None:
    config = DemoConfig(num_envs=8, n_steps=4, batch_size=16, timesteps=64, warmup_iterations=2, precision="float32")
    agent = fresh(bundle, demonstrations, config)
    agent.policy.set_anchor(config.kl_weight)
    before = {name: value.clone() for name, value in agent.policy.state_dict().items()}
    train(agent, config)
    changed = {name for name, value in agent.policy.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all("value" in name for name in changed)
    assert agent.policy.action_net.weight.requires_grad  # all is as it was when training is over
    assert not agent.policy.log_std.requires_grad


def test_looking_at_it_along_the_way_changes_nothing(bundle: Bundle, demonstrations: Demonstrations) -> None:
    """Evaluations in dreams are spread over the budget, and training draws the same numbers with and without them."""
    config = DemoConfig(num_envs=8, n_steps=4, batch_size=16, timesteps=128, dream_checks=2, precision="float32")
    weights = []
    for check in (None, lambda: float(torch.rand(()))):
        agent = fresh(bundle, demonstrations, config)
        agent.policy.set_anchor(config.kl_weight)
        result = train(agent, config, check=check)
        weights.append(agent.policy.state_dict())
    assert [check.timesteps for check in result.checks] == [32, 96]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_an_anchored_agent_comes_back_from_its_file(
    bundle: Bundle, demonstrations: Demonstrations, tmp_path: Path
) -> None:
    agent = fresh(bundle, demonstrations)
    agent.policy.set_anchor(1.0, 0.5, demonstrations)
    agent.save(tmp_path / "agent.zip")
    loaded = PPO.load(tmp_path / "agent.zip", device="cpu")
    seen = demonstrations.observations[:8]
    one, other = (each.predict(seen, deterministic=True)[0] for each in (agent, loaded))
    np.testing.assert_array_equal(one, other)
    assert set(loaded.policy.state_dict()) == set(agent.policy.state_dict())
    assert torch.all(loaded.policy.penalty(torch.from_numpy(seen)) == 0)
