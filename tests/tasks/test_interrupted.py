"""Interrupted skill: what breaks it off, how often and how long, and that it is still skill in between."""

import numpy as np
import pytest

from rla_gym.tasks import make_task
from rla_gym.tasks.interrupted import OTHER_STEPS, SHARES, SKILLED_STEPS, Interrupted
from rla_gym.tasks.tabletop.demonstrators import Pusher

STEPS = 6000
FIRST, SECOND = np.array([0.3, -0.4], np.float32), np.array([-0.2, 0.5], np.float32)


def play(skilled, seed=0, steps=STEPS):
    """Actions (steps, 2) of an interrupted policy that would do `skilled` all the time."""
    policy = Interrupted(lambda: skilled, 2, np.random.default_rng(seed))
    return np.array([policy() for _ in range(steps)])


@pytest.fixture(scope="module")
def both():
    """The same interruptions of two skills: what differs is skill, or noise on it."""
    return play(FIRST), play(SECOND)


@pytest.fixture(scope="module")
def stretches(both):
    """(whether skilled, steps) of each whole stretch."""
    skilled = (both[0] == FIRST).all(1) & (both[1] == SECOND).all(1)
    found = np.split(np.arange(STEPS), np.flatnonzero(np.diff(skilled)) + 1)
    return [(bool(skilled[steps[0]]), steps) for steps in found[1:-1]]


def kind_of(first, second):
    """What one interruption is, by what it did to two skills."""
    if not first.any() and not second.any():
        return "still"
    if not np.array_equal(first, second):
        return "disturbed"
    return "straight" if first.std(0).max() < 0.2 and np.abs(first.mean(0)).max() > 0.25 else "random"


def test_actions_are_bounded_float32(both):
    for actions in both:
        assert actions.dtype == np.float32 and actions.shape == (STEPS, 2)
        assert np.abs(actions).max() == 1.0, "strong enough to meet the bounds"


def test_stretches_of_both_are_as_long_as_stated(stretches):
    for skilled, (low, high) in ((True, SKILLED_STEPS), (False, OTHER_STEPS)):
        lengths = [len(steps) for kind, steps in stretches if kind == skilled]
        assert len(lengths) > 200 and (min(lengths), max(lengths)) == (low, high - 1)


def test_all_four_kinds_of_interruption_occur(both, stretches):
    kinds = [kind_of(both[0][steps], both[1][steps]) for skilled, steps in stretches if not skilled]
    shares = {kind: kinds.count(kind) / len(kinds) for kind in ("still", "disturbed", "straight", "random")}
    # Straight and random motion look alike where the random one is weak.
    expected = dict(zip(shares, SHARES, strict=True))
    assert shares == pytest.approx(expected, abs=0.08)


def test_straight_stretches_go_everywhere(both, stretches):
    moves = [both[0][steps].mean(0) for skilled, steps in stretches if not skilled
             and kind_of(both[0][steps], both[1][steps]) == "straight"]  # fmt: skip
    quadrants = {tuple(move > 0) for move in moves}
    assert len(quadrants) == 4


def test_a_function_of_the_seed_alone(both):
    state = np.random.get_state()[1].copy()
    np.testing.assert_array_equal(play(FIRST, steps=500), both[0][:500])
    assert not np.array_equal(play(FIRST, seed=1, steps=500), both[0][:500])
    assert np.array_equal(np.random.get_state()[1], state)


def test_both_ways_to_begin_occur():
    begins = {bool((play(FIRST, seed, steps=1)[0] == FIRST).all()) for seed in range(10)}
    assert begins == {True, False}


def test_skill_is_asked_at_every_step_so_that_it_keeps_track():
    asked = []

    def skilled():
        asked.append(True)
        return FIRST

    policy = Interrupted(skilled, 2, np.random.default_rng(0))
    for _ in range(100):
        policy()
    assert len(asked) == 100


def test_skilled_stretches_push_the_block():
    task = make_task("push-cube")
    moved = {True: [], False: []}
    for seed in range(30):
        task.reset(seed)
        rng = np.random.default_rng([seed, 1])
        pusher = Pusher(task, 0.1, rng, hidden=True)
        wanted = np.zeros(2)

        def skilled(pusher=pusher):
            nonlocal wanted
            wanted = pusher()
            return wanted

        policy = Interrupted(skilled, 2, rng)
        for _ in range(task.spec.max_steps):
            before, action = task.block_pose[:2], policy()
            task.step(action)
            moved[np.array_equal(action, wanted)].append(np.linalg.norm(task.block_pose[:2] - before))
    task.close()
    pushed, others = (np.array(moved[kind]) for kind in (True, False))
    assert 0.35 < len(pushed) / (len(pushed) + len(others)) < 0.65
    assert pushed.mean() > 1.5 * others.mean()
    assert (pushed > 1e-3).mean() > 0.15 and (others > 1e-3).mean() > 0.05, "interruptions meet the block as well"
