"""Posts and hooks."""

import numpy as np
import pytest

from rla_gym.tasks import make_task
from rla_gym.tasks.tabletop.tools import HOOKS, POSTS


def test_names_and_colours_differ():
    for tools in (POSTS, HOOKS):
        assert len({tool.name for tool in tools}) == 3
        assert len({colour for tool in tools for colour in (tool.colour, tool.other_colour)}) == 6


def test_posts_are_as_wide_as_they_say():
    task = make_task("push-cube@train")
    for seed in range(20):
        task.reset(seed)
        geoms = np.flatnonzero(task.model.geom_bodyid == task.model.body("pusher").id)
        middles, radii = task.data.geom_xpos[geoms, 0] - task.pusher_position[0], task.model.geom_size[geoms, 0]
        assert (middles + radii).max() == pytest.approx(task.tool.girth)
        assert (middles - radii).min() == pytest.approx(-task.tool.girth)
        assert task.tool.thickness <= task.tool.radius <= task.tool.girth
        assert task.model.body("pusher").mass == pytest.approx(0.3)


@pytest.mark.parametrize("name", ["pull-cube@train", "poke-cube@unseen"])
def test_rectangles_are_where_the_geoms_are(name):
    """The corners of each part, as MuJoCo has them, fill the rectangles."""
    task = make_task(name)
    for seed in range(12):
        task.reset(seed)
        assert task.data.body("pusher").xpos[2] > 0
        for part, (low, high) in zip(("pusher", "shaft", "foot"), task.tool.rectangles(), strict=True):
            geom, size = task.data.geom(part), task.model.geom(part).size
            # The post is a cylinder, the others are capsules: their size is half the length without the round ends.
            local = np.array([size[0], size[0], size[1] + (part != "pusher") * size[0]])
            half = (np.abs(geom.xmat.reshape(3, 3)) @ local)[:2]
            centre = geom.xpos[:2] - task.pusher_position
            assert np.allclose([centre - half, centre + half], [low, high], atol=1e-6), (task.tool.name, part)
        assert task.model.body("pusher").mass == pytest.approx(0.3)


def test_points_lie_on_the_hooks_side():
    for hook in HOOKS:
        assert hook.points.shape == (4, 2)
        assert np.all(hook.points[:2, 0] * hook.side > 0)
        assert np.allclose(hook.points[2] * [-1, 1], hook.points[3])
    assert POSTS[0].points.tolist() == [[0.0, 0.0]]
