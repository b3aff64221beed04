"""Finding tasks by name, and the facts and checks that they share."""

import json
from dataclasses import replace

import numpy as np
import pytest

from rla_gym.tasks import make_task, task_names
from rla_gym.tasks.task import TaskSpec, checked_action


@pytest.fixture
def spec():
    return TaskSpec(
        name="example",
        frame_size=(4, 6),
        action_low=np.array([-1.0, -0.5], np.float32),
        action_high=np.array([1.0, 0.5], np.float32),
        proprio_size=3,
        object_names=("x", "y"),
        control_hz=20.0,
        max_steps=7,
    )


def test_spec_becomes_json(spec):
    assert json.loads(json.dumps(spec.to_dict())) == {
        "name": "example",
        "frame_size": [4, 6],
        "action_low": [-1.0, -0.5],
        "action_high": [1.0, 0.5],
        "proprio_size": 3,
        "object_names": ["x", "y"],
        "control_hz": 20.0,
        "max_steps": 7,
        "proprio_names": [],
        "frame_name": "agentview_image",
    }


def test_options_are_recorded_where_there_are_any(spec):
    assert replace(spec, options={"frame_size": (4, 6)}).to_dict()["options"] == {"frame_size": [4, 6]}
    with pytest.raises(ValueError, match="cannot be named"):
        replace(spec, options={"success": lambda env: True}).to_dict()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frame_size", (4, 6.5)),
        ("frame_size", "46"),
        ("max_steps", 1.5),
        ("control_hz", 0.0),
        ("control_hz", float("nan")),
        ("action_low", np.array([-np.inf, 0.0])),
        ("action_low", np.array([-1.0, 0.6])),
        ("action_high", np.ones(3)),
    ],
)
def test_values_that_cannot_be_are_refused(spec, name, value):
    with pytest.raises(ValueError, match="actions" if name.startswith("action") else name):
        replace(spec, **{name: value})


def test_actions_are_clipped_to_the_bounds(spec):
    action = checked_action(np.array([3.0, -0.25], np.float32), spec)
    assert action.dtype == np.float64 and action.tolist() == [1.0, -0.25]


@pytest.mark.parametrize("action", [np.zeros(3), np.zeros((1, 2)), np.float32(0.0)])
def test_actions_of_another_shape_are_refused(spec, action):
    with pytest.raises(ValueError, match=r"example takes actions of shape \(2,\), got"):
        checked_action(action, spec)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_actions_that_are_not_finite_are_refused(spec, value):
    with pytest.raises(ValueError, match="NaN or infinite"):
        checked_action(np.array([0.0, value]), spec)


@pytest.mark.parametrize("name", ["push-cub", "", "robosuite:", "unity:Lift", "Push-Cube"])
def test_unknown_names_are_refused_with_a_list(name):
    with pytest.raises(
        ValueError, match="known tasks: push-cube, push-t, roll-ball, poke-cube, pull-cube, Lift"
    ) as error:
        make_task(name)
    assert repr(name) in str(error.value)


@pytest.mark.parametrize("name", ["push-cube", "push-t", "roll-ball", "poke-cube", "pull-cube"])
def test_names_make_tasks_and_pass_options_on(name):
    assert name in task_names()
    task = make_task(name, frame_size=(56, 70), max_steps=9)
    assert (task.spec.name, task.spec.frame_size, task.spec.max_steps) == (name, (56, 70), 9)
    task.reset(0)
    assert task.render().shape == (56, 70, 3)
    task.close()
    with pytest.raises(ValueError, match="no option 'speed'"):
        make_task(name, speed=1)
