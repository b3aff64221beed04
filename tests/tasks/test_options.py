"""Options of tasks as JSON values, functions among them."""

import functools
import json

import numpy as np
import pytest

from rla_gym.tasks.offscreen import Viewpoint
from rla_gym.tasks.options import function_name, load_function, recordable, success_rule
from tests.tasks import user_tasks

NAME = "tests.tasks.user_tasks:fallen"


def test_options_become_json_and_name_their_functions():
    given = {
        "camera": Viewpoint(distance=2.0),
        "frame_size": (56, np.int64(70)),
        "robot": None,
        "success": user_tasks.fallen,
        "env_kwargs": {"noise": np.float32(0.5), "names": ["a"]},
    }
    found = recordable(given)
    assert json.loads(json.dumps(found)) == found == {
        "camera": {"lookat": [0.0, 0.0, 0.0], "distance": 2.0, "azimuth": 90.0, "elevation": -45.0, "follow_body": -1},
        "frame_size": [56, 70],
        "success": NAME,
        "env_kwargs": {"noise": 0.5, "names": ["a"]},
    }
    assert load_function(found["success"]) is user_tasks.fallen is success_rule(NAME)


def _local():
    def rule(env):
        return True

    return rule


class _Rule:
    def __call__(self, env):
        return True


@pytest.mark.parametrize("rule", [lambda env: True, _local(), functools.partial(user_tasks.fallen), _Rule()])
def test_functions_that_cannot_be_named_are_refused_with_what_to_do(rule):
    with pytest.raises(ValueError, match=r"success=.* cannot be named.*top level of a module"):
        recordable({"success": rule})


def test_a_function_of_the_script_that_runs_is_refused(monkeypatch):
    monkeypatch.setattr(user_tasks.fallen, "__module__", "__main__")
    with pytest.raises(ValueError, match="of the script that runs"):
        function_name(user_tasks.fallen)


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("fallen", ValueError, "expected \"module:function\""),
        ("nowhere:fallen", ImportError, "no module 'nowhere'"),
        ("tests.tasks.user_tasks:risen", ValueError, "risen"),
        ("tests.tasks.user_tasks:__doc__", ValueError, "is a str"),
    ],
)
def test_names_that_are_no_functions(name, error, text):
    with pytest.raises(error, match=text):
        success_rule(name)


def test_other_values_cannot_be_recorded():
    with pytest.raises(ValueError, match="env_kwargs=.* cannot be recorded"):
        recordable({"env_kwargs": {"thing": object()}})
