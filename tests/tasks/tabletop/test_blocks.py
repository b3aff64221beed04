"""Boxes, discs and balls."""

import numpy as np
import pytest

from rla_gym.tasks import make_task
from rla_gym.tasks.tabletop.blocks import BALLS, BLOCKS


def test_names_and_colours_differ():
    for blocks in (BLOCKS, BALLS):
        assert len({block.name for block in blocks}) == 3
        assert len({colour for block in blocks for colour in (block.colour, block.other_colour)}) == 6


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_extent_is_that_of_the_turned_shape(block):
    turn = np.linspace(0.0, 2 * np.pi, 2000)
    for yaw in (0.0, 0.3, 1.2, -2.0, np.pi / 2):
        if block.shape == "box":
            outline = np.array([[x * block.half[0], y * block.half[1]] for x in (-1, 1) for y in (-1, 1)])
        else:
            outline = np.stack([np.cos(turn), np.sin(turn)], axis=1) * block.half
        matrix = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
        assert np.allclose(block.extent(yaw), (outline @ matrix.T).max(axis=0), atol=1e-4)
        assert min(block.half) <= block.radius <= max(block.half)


@pytest.mark.parametrize("name", ["push-cube@train", "roll-ball@train"])
def test_blocks_stand_on_the_table(name):
    task = make_task(name)
    seen = set()
    for seed in range(30):
        task.reset(seed)
        block = task.block
        seen.add(block.name)
        geom = task.model.geom(block.name)
        assert geom.pos[2] == pytest.approx(block.half_height) and task.model.body("block").mass == block.mass
    assert len(seen) == 3
