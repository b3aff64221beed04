"""Variants: which pairs they have, that states restore them, and that data sets name them."""

from collections import Counter
from hashlib import sha256

import numpy as np
import pytest

from rla_gym.tasks import make_task
from rla_gym.tasks.tabletop import base
from rla_gym.tasks.tabletop.blocks import BALLS, BLOCKS
from rla_gym.tasks.tabletop.simulation import Simulation
from rla_gym.tasks.tabletop.t_shape import SHAPES
from rla_gym.tasks.tabletop.tools import HOOKS, POSTS
from rla_gym.tasks.tabletop.variants import VARIANTS, combinations
from tests.recording import record

TASKS = ["push-cube", "push-t", "roll-ball", "poke-cube", "pull-cube"]
PARTS = [(POSTS, BLOCKS), (POSTS, SHAPES), (POSTS, BALLS), (HOOKS, BLOCKS)]
RECORDED = {
    "push-cube": "b02860f7f51e09d5dd2ff8030f6b13de7f435d45867415c834d714556b8cdafa",
    "push-t": "059fae44d1fa56da14fc5c8a4c235061ee254095cfe23ce1535a34a76ed00296",
}


def names(pairs):
    return [(pair.tool.name, pair.block.name) for pair in pairs]


@pytest.mark.parametrize(("tools", "blocks"), PARTS)
def test_unseen_pairs_are_new_pairs_of_known_parts(tools, blocks):
    train, unseen = (names(combinations(tools, blocks, variant)) for variant in ("train", "unseen"))
    assert sorted(train + unseen) == sorted((tool.name, block.name) for tool in tools for block in blocks)
    assert (len(train), len(unseen)) == (6, 3)
    assert names(combinations(tools, blocks, "")) == [train[0]]
    for which in (0, 1):
        assert set(Counter(pair[which] for pair in train).values()) == {2}
        assert set(Counter(pair[which] for pair in unseen).values()) == {1}


@pytest.mark.parametrize(("tools", "blocks"), PARTS)
def test_unseen_colours_are_those_of_no_known_part(tools, blocks):
    train, recoloured = (combinations(tools, blocks, variant) for variant in ("train", "unseen-colours"))
    assert names(train) == names(recoloured)
    known = {part.colour for part in (*tools, *blocks)}
    for pair in recoloured:
        assert not known & {pair.tool.colour, pair.block.colour}
    assert len(known | {part.other_colour for part in (*tools, *blocks)}) == 12


def test_unknown_variants_are_refused_with_a_list():
    for make in (lambda: make_task("push-cube@other"), lambda: make_task("push-cube", variant="other")):
        with pytest.raises(ValueError, match="'other'; known variants: train, unseen, unseen-colours"):
            make()
    for name in ("push-cube@", "Lift@unseen", "push@unseen"):
        with pytest.raises(ValueError, match="known tasks: push-cube, push-t, roll-ball, poke-cube, pull-cube, Lift"):
            make_task(name)


@pytest.mark.parametrize("name", TASKS)
def test_each_episode_draws_a_pair_and_states_restore_it(name):
    task = make_task(name, variant="train")
    assert task.spec.name == f"{name}@train"
    drawn, kept = [], {}
    for seed in range(40):
        task.reset(seed)
        drawn.append((task.tool.name, task.block.name))
        if drawn[-1] not in kept:
            task.step(np.array([0.3, -0.2]))
            kept[drawn[-1]] = task.get_state(), task.render(), task.object_state()
    assert set(drawn) == set(names(task.combinations))
    assert len({frame.tobytes() for _, frame, _ in kept.values()}) == 6
    for (tool, block), (state, frame, objects) in kept.items():
        task.set_state(state)
        assert (task.tool.name, task.block.name) == (tool, block)
        assert np.array_equal(task.render(), frame) and np.array_equal(task.object_state(), objects)
    for wrong in (6.0, -1.0, 0.5):
        with pytest.raises(ValueError, match=f"6 combinations of tool and block, got {wrong:g}"):
            task.set_state(np.append(state[:-1], wrong))
    with pytest.raises(ValueError, match="states are"):
        task.set_state(state[:-1])
    task.close()


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_the_scene_that_data_was_recorded_in_stays_the_same(name, monkeypatch):
    """Whoever changes the plain scene makes the recorded states, frames and the built-in checkpoint worthless."""
    seen = []
    monkeypatch.setattr(base, "Simulation", lambda xml, *view: seen.append(xml) or Simulation(xml, *view))
    make_task(name)
    assert [sha256(xml.encode()).hexdigest() for xml in seen] == [RECORDED[name]]


def test_data_sets_say_which_variant_they_are_of(tmp_path):
    with record("push-cube@unseen", 3, tmp_path / "episodes", play=1.0) as dataset:
        assert dataset.task_name == dataset.spec["name"] == "push-cube@unseen"
        episode = dataset.episode(1)
        task = make_task(dataset.task_name)
    task.set_state(episode.states[0])
    assert np.array_equal(task.render(), episode.frames[0])
    for action, state in zip(episode.actions[:5], episode.states[1:6], strict=True):
        task.step(action)
        assert np.array_equal(task.get_state(), state)
    task.close()
    assert set(VARIANTS) == {"train", "unseen", "unseen-colours"}
