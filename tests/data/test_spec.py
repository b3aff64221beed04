"""Specs of own recordings: NumPy's values are taken, what is missing or cannot be is told first."""

import json

import numpy as np
import pytest

from rla_gym.data.spec import EXAMPLE, checked_spec
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_steps": None}, r"lacks max_steps; a complete one is \{\"name\": \"my-robot\""),
        ({"action_low": [0.0, 1.0]}, "must be finite, one below the other"),
        ({"action_high": [1.0]}, "must be finite, one below the other"),
        ({"action_high": [1.0, np.inf]}, "must be finite, one below the other"),
        ({"frame_size": [112]}, r"expected \[height, width\]"),
        ({"control_hz": 0.0}, "must be positive"),
        ({"proprio_names": ["x"]}, "1 proprio_names for proprio_size 0"),
        ({"name": {1, 2}}, "more than JSON values"),
    ],
)
def test_what_cannot_be(changes, message):
    spec = {name: value for name, value in {**EXAMPLE, **changes}.items() if value is not None}
    with pytest.raises(ValueError, match=f"^mine.*{message}"):
        checked_spec(spec, "mine")
