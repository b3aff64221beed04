"""Rewards as functions of distances: what each pays, and that progress changes no preference between policies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rla_gym.rewards import REWARDS, Corresponding, Distances, Goal, Progress, Reward, Success, make_reward

STATES, ACTIONS, DISCOUNT = 7, 3, 0.8


def a_step(goal: float, before: float, corresponding: float, solved: bool) -> Distances:
    return Distances(
        torch.tensor([goal]), torch.tensor([before]), torch.tensor([corresponding]), torch.tensor([solved])
    )


@pytest.mark.parametrize(
    ("reward", "expected"),
    [
        (Corresponding(2.0), -8.0),
        (Goal(2.0), -2.0),
        (Progress(2.0), 4.0),
        (Progress(2.0, gamma=0.5), 0.5 * -2.0 - -6.0),
        (Success(2.0), 2.0),
    ],
)
def test_each_on_numbers_one_can_check(reward: Reward, expected: float) -> None:
    assert reward(a_step(goal=1.0, before=3.0, corresponding=4.0, solved=True)).item() == expected


def test_success_pays_for_solved_steps_alone() -> None:
    assert Success(5.0)(a_step(1.0, 3.0, 4.0, solved=False)).item() == 0.0


@pytest.mark.parametrize("mode", REWARDS)
def test_every_mode_is_made_with_its_scale(mode: str) -> None:
    once, thrice = (make_reward(mode, scale)(a_step(1.0, 3.0, 4.0, solved=True)) for scale in (1.0, 3.0))
    assert once.item() != 0 and thrice.item() == pytest.approx(3 * once.item())


@pytest.mark.parametrize("gamma", [None, 1.0, 0.9, 0.3])
def test_the_discounted_sum_telescopes(gamma: float | None) -> None:
    steps, batch = 20, 5
    paths = torch.rand(steps + 1, batch, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    reward, discount = Progress(3.0, gamma), 1.0 if gamma is None else gamma
    total = torch.zeros(batch, dtype=torch.float64)
    for step in range(steps):
        distances = Distances(paths[step + 1], paths[step], paths[step], paths[step] < 0)
        total += discount**step * reward(distances)
    expected = discount**steps * reward.potential(paths[-1]) - reward.potential(paths[0])
    assert torch.allclose(total, expected, rtol=0, atol=1e-12)


def decision_process(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random transitions (A, S, S), goal distances (S,) and rewards (S, S) of entering the last state, the goal."""
    rng = np.random.default_rng(seed)
    transitions = rng.dirichlet(np.full(STATES, 0.3), (ACTIONS, STATES))
    transitions[:, -1] = np.eye(STATES)[-1]  # one stays at the goal
    distances = np.append(rng.uniform(0.2, 1.0, STATES - 1), 0.0)
    success = np.zeros((STATES, STATES))
    success[:-1, -1] = 1.0
    return transitions, distances, success


def best_values(transitions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    """Q (S, A) of the best policy, by value iteration."""
    values = np.zeros((STATES, ACTIONS))
    for _ in range(120):
        values = np.einsum("ast,st->sa", transitions, rewards + DISCOUNT * values.max(axis=1))
    return values


def paid_between_states(reward: Reward, distances: np.ndarray) -> np.ndarray:
    """What `reward` pays (S, S) for going from one state to another."""
    before, after = (torch.from_numpy(part.copy()) for part in np.meshgrid(distances, distances, indexing="ij"))
    return reward(Distances(after, before, after, after < 0)).numpy()


def changed_preferences(reward: Reward) -> int:
    """In how many of 50 processes the best policy for success is another one once `reward` is added."""
    changed = 0
    for seed in range(50):
        transitions, distances, success = decision_process(seed)
        alone = best_values(transitions, success)
        together = best_values(transitions, success + paid_between_states(reward, distances))
        changed += not np.array_equal(alone[:-1].argmax(axis=1), together[:-1].argmax(axis=1))
    return changed


def test_progress_does_not_change_the_best_policy() -> None:
    assert changed_preferences(Progress(3.0, gamma=DISCOUNT)) == 0
    # Which needs the discount of the agent, and no other reward here has it: the test can tell.
    for other in (Progress(3.0), Progress(3.0, gamma=0.95), Goal(3.0)):
        assert changed_preferences(other) > 5


def test_progress_moves_values_by_the_potential() -> None:
    transitions, distances, success = decision_process(0)
    reward = Progress(3.0, gamma=DISCOUNT)
    together = best_values(transitions, success + paid_between_states(reward, distances))
    potential = reward.potential(torch.from_numpy(distances)).numpy()
    np.testing.assert_allclose(together, best_values(transitions, success) - potential[:, None], atol=1e-9)


def test_an_unknown_mode_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match="corresponding, goal, progress, success"):
        make_reward("dense", 1.0)
