"""Tasks by name: those of modules, of installed packages, and names that are none."""

import re
import sys
from pathlib import Path

import pytest

import rla_gym
from rla_gym.tasks import canonical_name, make_task, registry, task_names
from rla_gym.tasks.gymnasium import GymnasiumTask

MODULE = "tests.tasks.user_tasks"


def test_a_task_that_a_module_registers_is_made_by_module_and_name():
    task = make_task(f"{MODULE}:user-pusher", frame_size=(28, 42))
    assert task.spec.name == f"{MODULE}:user-pusher" and task.spec.options == {"frame_size": (28, 42)}
    assert task.spec.to_dict()["options"] == {"frame_size": [28, 42]}
    task.reset(0)
    assert task.success() and task.render().shape == (28, 42, 3)
    task.close()
    assert f"{MODULE}:user-pusher" in task_names()
    # What was imported needs no module in its name, but data sets and workers get it.
    assert canonical_name("user-pusher") == f"{MODULE}:user-pusher"
    again = make_task(task.spec.name, **task.spec.to_dict()["options"])
    assert again.spec.to_dict() == task.spec.to_dict()
    again.close()


def test_the_example_of_the_documentation(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
    (tmp_path / "documented_tasks.py").write_text(re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)[0])
    monkeypatch.syspath_prepend(tmp_path)
    task = make_task("documented_tasks:push", max_steps=5)
    assert (task.spec.name, task.spec.max_steps) == ("documented_tasks:push", 5) and not task.success()
    state = task.get_state()
    slides = task.model.joint("obj_slidex").qposadr[0], task.model.joint("obj_slidey").qposadr[0]
    goal, thing = task.data.body("goal").xpos, task.data.body("object").xpos
    for slide, axis in zip(slides, (0, 1), strict=True):
        state[1 + slide] += goal[axis] - thing[axis]  # time comes first
    task.set_state(state)
    assert task.success()
    task.close()


def test_gymnasium_environments_of_a_module():
    for name in (f"{MODULE}:UserPusher30-v0", f"gymnasium:{MODULE}:UserPusher30-v0"):
        task = make_task(name, success=f"{MODULE}:fallen")
        assert task.spec.name == canonical_name(name) == f"gymnasium:{MODULE}:UserPusher30-v0"
        assert task.spec.max_steps == 30 and not task.success()
        assert task.spec.to_dict()["options"] == {"success": f"{MODULE}:fallen"}
        task.close()


def test_ids_without_a_version_are_recorded_with_it():
    with pytest.warns(UserWarning, match="latest versioned"):
        task = make_task("gymnasium:Reacher")
    assert task.spec.name == "gymnasium:Reacher-v5" and "expert" in task.demonstrators
    task.close()


def test_tasks_of_installed_packages(tmp_path, monkeypatch):
    info = tmp_path / "their_tasks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-tasks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[rla_gym.tasks]\ntheirs = {MODULE}:make_pusher\npush-cube = {MODULE}:no\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    registry._declared.cache_clear()
    try:
        assert "theirs" in task_names() and task_names().count("push-cube") == 1
        task = make_task("theirs", max_steps=3)
        assert (task.spec.name, task.spec.max_steps) == ("theirs", 3)
        task.close()
    finally:
        registry._declared.cache_clear()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("push-cub", "did you mean push-cube"),
        ("HalfCheetah-v5", "did you mean gymnasium:HalfCheetah-v5"),
        ("halfcheetah-v5", "did you mean gymnasium:HalfCheetah-v5"),
        ("nowhere:Env-v0", "no module 'nowhere' can be imported"),
        ("json:Env-v0", "module 'json' registers neither a task"),
        (f"{MODULE}:pusher", "it registers user-pusher"),
        ("push-cube@", "known tasks: push-cube"),
        ("Lift@unseen", "known tasks: push-cube"),
    ],
)
def test_names_that_are_none_are_refused_with_what_there_is(name, text):
    with pytest.raises(ValueError, match=f"no task is called '{name}'") as error:
        make_task(name)
    assert text in str(error.value) and "\n" not in str(error.value)


def test_a_module_that_fails_says_what_failed(tmp_path, monkeypatch):
    (tmp_path / "half_a_module.py").write_text("import a_library_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="a_library_that_is_not_there"):
        make_task("half_a_module:Env-v0")


@pytest.mark.parametrize(
    ("name", "factory", "text"),
    [
        ("push-cube", GymnasiumTask, "already, of rla_gym"),
        ("Lift", GymnasiumTask, "already, of rla_gym"),
        ("user-pusher", GymnasiumTask, f"already, of module {MODULE}"),
        ("a:b", GymnasiumTask, "cannot be called"),
        ("", GymnasiumTask, "cannot be called"),
        ("mine", "nothing", "expected a function"),
        ("mine", 3, "expected a function"),
    ],
)
def test_what_cannot_be_registered(name, factory, text):
    make_task(f"{MODULE}:user-pusher").close()
    with pytest.raises(ValueError, match=text):
        rla_gym.register_task(name, factory)
    assert "mine" not in task_names()


def test_a_factory_that_makes_no_task_is_refused():
    rla_gym.register_task("no-task-at-all", dict)
    try:
        with pytest.raises(ValueError, match=r"no-task-at-all.* returned a dict, expected a rla_gym.tasks.Task"):
            make_task("no-task-at-all")
    finally:
        del registry._ENTRIES["no-task-at-all"]


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("push-cube", {"robot": "Panda"}, "has no option 'robot'; it has frame_size, max_steps, variant, camera"),
        ("push-cube", {"camera": "top"}, "no camera 'top'; it has agentview"),
        ("push-cube", {"frame_size": (0, 112)}, "frame_size=.*from 1 to 4096"),
        ("push-cube", {"frame_size": 112}, "frame_size=112"),
        ("push-cube", {"max_steps": 0}, "max_steps=0"),
        ("push-cube@train", {"variant": "unseen"}, "give one of the two"),
        ("gymnasium:Pusher-v5", {"frame_size": [112]}, "frame_size"),
        ("gymnasium:Pusher-v5", {"max_steps": True}, "max_steps=True"),
        ("gymnasium:Pusher-v5", {"env_kwargs": {"gravity": 3}}, "gravity"),
        ("gymnasium:Pusher-v5", {"success": 3}, "success=3"),
    ],
)
def test_options_that_a_task_does_not_have_are_one_line(name, options, text):
    with pytest.raises(ValueError, match=text) as error:
        make_task(name, **options)
    assert "\n" not in str(error.value)
