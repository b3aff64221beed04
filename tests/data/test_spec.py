"""Specs of own recordings: NumPy's values are taken, what is missing or cannot be is told first."""

import json
from dataclasses import replace

import numpy as np
import pytest

from rla_gym.data import Episode
from rla_gym.data.spec import EXAMPLE, READ, check_episode, checked_spec
from rla_gym.tasks import make_task


def test_the_example_and_those_of_tasks_are_complete():
    assert checked_spec(EXAMPLE) == EXAMPLE
    task = make_task("push-cube")
    told = task.spec.to_dict()
    task.close()
    assert checked_spec(told) == told


def test_arrays_become_json():
    spec = checked_spec({
        **EXAMPLE, "action_low": np.full(2, -1, np.float32), "action_high": np.ones(2), "frame_size": (np.int64(8), 9),
        "max_steps": np.int32(7),
    })  # fmt: skip
    assert json.loads(json.dumps(spec)) == {**EXAMPLE, "frame_size": [8, 9], "max_steps": 7}


def test_what_reading_does_not_need_may_be_missing_in_older_files():
    old = {name: EXAMPLE[name] for name in READ}
    assert checked_spec(old, needed=READ) == old


def test_an_action_may_have_no_width():
    spec = checked_spec({**EXAMPLE, "action_low": [-1.0, 0.0], "action_high": [1.0, 0.0]})
    frames, actions = np.zeros((3, 112, 112, 3), np.uint8), np.array([[0.5, 0.0], [-1.0, 0.0]], np.float32)
    episode = Episode(frames, actions, None, None, None, "my-robot", True, 0, "human")
    check_episode(episode, spec, "it")
    with pytest.raises(ValueError, match="it: action 1 of step 0 is 0.5, the spec's bounds are 0 to 0"):
        check_episode(replace(episode, actions=actions + 0.5 * np.array([[0, 1], [0, 0]], np.float32)), spec, "it")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_steps": None}, r"lacks max_steps; a complete one is \{\"name\": \"my-robot\""),
        ({"action_low": [0.0, 1.5]}, "must be finite, the one not above the other"),
        ({"action_high": [1.0]}, "must be finite, the one not above the other"),
        ({"action_high": [1.0, np.inf]}, "must be finite, the one not above the other"),
        ({"action_low": -1.0}, "of another type .*than this one"),
        ({"frame_size": 112}, "of another type .*than this one"),
        ({"control_hz": "10"}, "of another type .*than this one"),
        ({"object_names": [1]}, "must be texts"),
        ({"frame_size": [112]}, r"expected \[height, width\]"),
        ({"control_hz": 0.0}, "must be positive"),
        ({"proprio_names": ["x"]}, "1 proprio_names for proprio_size 0"),
        ({"options": ["camera"]}, "options are .*expected what make_task takes"),
        ({"extra": {1, 2}}, "of another type .*than this one"),
    ],
)
def test_what_cannot_be(changes, message):
    spec = {name: value for name, value in {**EXAMPLE, **changes}.items() if value is not None}
    with pytest.raises(ValueError, match=f"^mine.*{message}"):
        checked_spec(spec, "mine")
