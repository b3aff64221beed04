"""poke-cube and pull-cube: what they share."""

import numpy as np
import pytest

from rla_gym.tasks import make_task
from rla_gym.tasks.tabletop.hook_route import touches
from rla_gym.tasks.tabletop.hook_task import REACH_Y

AWAY = np.array([0.19, -0.15])


@pytest.fixture(scope="module", params=["poke-cube", "pull-cube"])
def task(request):
    task = make_task(request.param)
    yield task
    task.close()


def test_success_is_a_distance_of_25_millimetres(task):
    for distance, solved in ((0.0, True), (0.0249, True), (0.0251, False), (0.2, False)):
        task.place(np.array([distance - 0.1, 0.1, 1.0]), AWAY, np.array([-0.1, 0.1, 0.0]))
        assert task.success() is solved


def test_object_state_is_cube_and_target(task):
    task.place(np.array([0.01, 0.02, 0.7]), AWAY, np.array([-0.1, 0.12, 0.0]))
    assert task.spec.object_names == ("cube_x", "cube_y", "cube_yaw", "target_x", "target_y")
    assert np.allclose(task.object_state(), [0.01, 0.02, 0.7, -0.1, 0.12])


def test_the_hook_moves_with_the_pusher_and_does_not_turn(task):
    task.place(np.array([-0.1, 0.12, 0.0]), np.array([0.1, -0.15]), np.array([0.1, 0.1, 0.0]))
    foot, handle = task.data.geom("foot"), task.data.geom("pusher")
    offset, turned = foot.xpos - handle.xpos, foot.xmat.copy()
    for action in ([1.0, 0.4], [-0.5, 1.0], [-1.0, -0.6]):
        for _ in range(3):
            task.step(np.array(action))
        task.set_state(task.get_state())
        assert np.allclose(foot.xpos - handle.xpos, offset, atol=1e-12) and np.array_equal(foot.xmat, turned)
    assert offset[1] == pytest.approx(0.14)


def test_starts_are_clear_and_mirrored_with_the_hook():
    for name in ("poke-cube", "pull-cube"):
        task = make_task(name, variant="train")
        sides = {-1: [], 1: []}
        for seed in range(60):
            task.reset(seed)
            assert task.data.ncon == 0 and not task.success()
            assert not touches(task.tool, task.pusher_position[None], task.block, task.block_pose, 0.004)[0]
            assert REACH_Y[0] <= task.pusher_position[1] <= REACH_Y[1]
            sides[task.tool.side].append(task.block_pose[0])
        assert np.mean(sides[-1]) < -0.02 and np.mean(sides[1]) > 0.02


def test_poking_is_away_and_pulling_back():
    for name, way in (("poke-cube", (0.05, 0.13)), ("pull-cube", (-0.22, -0.10))):
        task = make_task(name)
        for seed in range(50):
            task.reset(seed)
            offset = (task.target_pose - task.block_pose)[:2]
            assert way[0] <= offset[1] <= way[1] and abs(offset[0]) <= 0.05
            far = max(task.target_pose[1], task.block_pose[1])
            assert far > REACH_Y[1], "one end of the way is further than the hand reaches"
