"""The geometry of the T."""

import numpy as np
import pytest

from rla_gym.tasks.tabletop.t_shape import (
    AREA,
    CENTRES,
    GYRATION,
    HALVES,
    SHAPES,
    UNIT,
    coverage,
    distance,
    outline,
    pose_error,
    to_local,
    to_world,
)

ORIGIN = np.zeros(3)


def raster(count=800):
    """Points of the T on a fine grid, ``(n, 2)``."""
    axis = np.linspace(-0.1, 0.1, count)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return points[distance(points) == 0.0]


def test_proportions():
    assert pytest.approx(7 * UNIT**2) == AREA
    assert np.allclose(2 * HALVES / UNIT, [[4, 1], [1, 3]])
    assert CENTRES[0, 1] - HALVES[0, 1] == pytest.approx(CENTRES[1, 1] + HALVES[1, 1]), "bar and stem touch"
    points = raster()
    assert np.abs(points.mean(axis=0)).max() < 4e-4
    assert np.sqrt((points**2).sum(axis=1).mean()) == pytest.approx(GYRATION, rel=0.01)


@pytest.mark.parametrize(
    ("shift", "yaw", "expected"),
    [
        ((0, 0), 0.0, 1.0),
        ((0, 0), 2 * np.pi, 1.0),
        ((0.5, 0), 0.0, 5 / 7),  # along the bar: bar keeps 3.5 of 4, stem 1.5 of 3
        ((1, 0), 0.0, 3 / 7),
        ((2, 0), 0.0, 2 / 7),  # the stems are apart
        ((4, 0), 0.0, 0.0),
        ((0, 1), 0.0, (1 + 2) / 7),  # the stem lies on 1 unit of the bar and 2 of the stem
        ((0, -4), 0.0, 0.0),
    ],
)
def test_coverage_of_known_overlaps(shift, yaw, expected):
    block = np.array([shift[0] * UNIT, shift[1] * UNIT, yaw])
    assert coverage(block, ORIGIN) == pytest.approx(expected, abs=1e-9)


def test_coverage_of_a_quarter_turn_about_the_bar():
    turned = np.array([*(CENTRES[0] - to_world(CENTRES[0], np.array([0.0, 0.0, np.pi / 2]))), np.pi / 2])
    # The bars cross in 1 unit, and half of each bar lies on 1.5 units of the other's stem.
    expected = (1.0 + 1.5 + 1.5) / 7
    assert coverage(turned, ORIGIN) == pytest.approx(expected, abs=1e-9)


def test_coverage_agrees_with_counting_points():
    rng = np.random.default_rng(0)
    points = raster()
    for _ in range(20):
        block, target = rng.uniform([-0.03, -0.03, -np.pi], [0.03, 0.03, np.pi], (2, 3))
        counted = np.mean(distance(to_local(to_world(points, target), block)) == 0.0)
        assert coverage(block, target) == pytest.approx(counted, abs=0.01)
        assert coverage(block, target) == pytest.approx(coverage(target, block), abs=1e-12)
        moved = rng.uniform(-1.0, 1.0, 3)
        both = [np.array([*to_world(pose[:2], moved), pose[2] + moved[2]]) for pose in (block, target)]
        assert coverage(*both) == pytest.approx(coverage(block, target), abs=1e-9)


def test_pose_error_is_the_mean_distance_of_the_points():
    points = raster(200)
    target = np.array([0.01, -0.02, 0.3])
    for pose in np.random.default_rng(1).uniform(-0.5, 0.5, (5, 3)):
        offsets = to_world(points, pose) - to_world(points, target)
        assert pose_error(pose, target) == pytest.approx(np.sqrt((offsets**2).sum(axis=1).mean()), rel=0.02)
    assert pose_error(target + np.array([0.0, 0.0, 2 * np.pi]), target) == pytest.approx(0.0, abs=1e-8)


def test_frames_are_inverse():
    points = np.random.default_rng(2).normal(size=(5, 4, 2))
    pose = np.array([0.3, -0.2, 2.0])
    assert np.allclose(to_local(to_world(points, pose), pose), points)
    assert np.allclose(to_world(np.array([1.0, 0.0]), np.array([0.0, 0.0, np.pi / 2])), [0.0, 1.0])


def test_the_outline_keeps_its_distance_and_goes_round_anticlockwise():
    ring = outline(0.022, 64)
    assert np.allclose(distance(ring), 0.022, atol=1e-4)
    sides = np.linalg.norm(np.roll(ring, -1, axis=0) - ring, axis=1)
    assert sides.max() < 1.3 * sides.min()
    x, y = ring.T
    assert 0.5 * (x @ np.roll(y, -1) - y @ np.roll(x, -1)) > AREA
    with pytest.raises(ValueError, match="clearance of at least 0.0107"):
        outline(0.005, 64)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_other_shapes_keep_the_same_geometry(shape):
    axis = np.linspace(-0.12, 0.12, 500)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    inside = points[distance(points, shape) == 0.0]
    assert len(inside) * (axis[1] - axis[0]) ** 2 == pytest.approx(shape.area, rel=0.02)
    assert np.abs(inside.mean(axis=0)).max() < 1e-3, "the centre of mass is the origin"
    assert np.sqrt((inside**2).sum(axis=1).mean()) == pytest.approx(shape.gyration, rel=0.01)
    ring = outline(0.022, 64, shape)
    assert np.allclose(distance(ring, shape), 0.022, atol=1e-4)
    pose = np.array([0.02, -0.01, 0.7])
    assert coverage(pose, pose, shape) == pytest.approx(1.0)
    moved = pose + np.array([0.0, 0.0, 0.5])
    overlap = (distance(to_local(to_world(inside, moved), pose), shape) == 0.0).mean()
    assert coverage(moved, pose, shape) == pytest.approx(overlap, abs=0.02)
    assert pose_error(pose, pose, shape) == 0.0
    error = np.linalg.norm(to_world(inside, moved) - to_world(inside, pose), axis=1)
    assert pose_error(moved, pose, shape) == pytest.approx(np.sqrt((error**2).mean()), rel=0.01)
