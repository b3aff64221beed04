import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import Pipe, active_children

import h5py
import numpy as np
import pytest

from rla_gym.collect.collect import CollectConfig, _read_part, collect
from rla_gym.collect.plan import EpisodePlan, plan_episode
from rla_gym.data import EpisodeDataset
from rla_gym.tasks import make_task
from rla_gym.tasks.tabletop.push_cube import PushCube
from rla_gym.tasks.workers import answering, receive
from rla_gym.utils.outputs import output
from tests.recording import collect_here
from tests.tasks import user_tasks

SETTINGS = CollectConfig("push-cube", 10, play=0.3, goal_blind=0.2, seed=6)  # as the fixture's
MANY = CollectConfig("push-cube", 16, play=0.5, seed=5, workers=1)


def wait_for(condition, seconds=300.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.002)


def whole_parts(out):
    return sorted((out / "parts").glob("[0-9]*.hdf5"))


def test_plans_depend_on_seed_and_index_only():
    plans = [plan_episode(seed, index, 0.4, 0.2, 0.3) for seed in range(3) for index in range(400)]
    assert plans[7] == plan_episode(0, 7, 0.4, 0.2, 0.3)
    seeds = [plan.seed for plan in plans] + [plan.demonstrator_seed for plan in plans]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) >= 0 and max(seeds) < 2**63
    shares = {kind: np.mean([plan.kind == kind for plan in plans]) for kind in ("play", "goal-blind", "expert")}
    assert shares == pytest.approx({"play": 0.4, "goal-blind": 0.2, "expert": 0.4}, abs=0.05)
    noises = [plan.noise for plan in plans if plan.kind != "play"]
    assert min(noises) >= 0 and max(noises) <= 0.6 and np.mean(noises) == pytest.approx(0.3, abs=0.03)
    assert all(plan.noise == 0 for plan in plans if plan.kind == "play")


def test_plans_with_interrupted_episodes():
    plans = [plan_episode(0, index, 0.3, 0.2, 0.3, 0.4) for index in range(1000)]
    shares = {kind: np.mean([plan.kind == kind for plan in plans]) for kind in {plan.kind for plan in plans}}
    expected = {"play": 0.3, "goal-blind": 0.2, "interrupted": 0.4, "expert": 0.1}
    assert shares == pytest.approx(expected, abs=0.05)
    assert {plan.kind for plan in (plan_episode(1, index, 0.0, 0.0, 0.2, 1.0) for index in range(200))} == {
        "interrupted"
    }
    for index, plan in enumerate(plans):  # only experts became something else
        before = plan_episode(0, index, 0.3, 0.2, 0.3)
        assert plan == before or (before.kind, plan) == ("expert", replace(before, kind="interrupted"))


@pytest.mark.parametrize(
    ("seed", "index", "expected"),
    [
        (0, 0, (7896617691693857887, 6195319269190327588, "expert", 0.016155164503078346)),
        (0, 1, (2918264622725855778, 4405800739349447345, "expert", 0.06962054047748782)),
        (0, 2, (8597659618385908031, 7902559777294131672, "goal-blind", 0.30450463114863896)),
        (0, 3999, (7919854642308267203, 386925208878717647, "play", 0.0)),
        (7, 5, (4346648539189822640, 8958735262614862098, "play", 0.0)),
    ],
)
def test_plans_are_those_of_the_data_sets_that_were_recorded(seed, index, expected):
    """The built-in checkpoint's episodes were recorded by the rule that knew of no interrupted ones."""
    assert plan_episode(seed, index, 0.35, 0.35, 0.3) == EpisodePlan(index, *expected)


def test_settings_of_folders_begun_before_there_were_interrupted_episodes_stay_valid(collected, tmp_path):
    before = {"task": "push-cube", "episodes": 10, "play": 0.3, "goal_blind": 0.2, "noise": 0.3, "seed": 6}
    assert SETTINGS.settings() == before
    assert json.loads((collected / "collect.json").read_text()) == before
    asked = replace(SETTINGS, interrupted=0.5, out=collected)
    assert asked.settings() == {**before, "interrupted": 0.5}
    with pytest.raises(ValueError, match=r"other settings \(interrupted: None there, 0.5 asked for\)"):
        collect(asked)


def test_result_does_not_depend_on_the_number_of_workers(collected, tmp_path):
    alone = EpisodeDataset(collected)
    together = EpisodeDataset(collect(replace(SETTINGS, workers=2, out=tmp_path / "together")))
    assert alone.hash == together.hash == alone.compute_hash() == together.compute_hash()
    other = EpisodeDataset(collect_here(replace(SETTINGS, seed=4, out=tmp_path / "other")))
    assert other.hash != alone.hash
    assert not set(other.seeds) & set(alone.seeds)


def test_replaying_recorded_actions_gives_the_recorded_states(dataset):
    task = make_task("push-cube")
    for index in range(3):
        episode = dataset.episode(index)
        assert len(episode.actions) == len(episode) - 1
        start = len(episode) // 3
        task.set_state(episode.states[start])
        np.testing.assert_array_equal(task.render(), episode.frames[start])
        for step in range(start, len(episode) - 1):
            task.step(episode.actions[step])
            np.testing.assert_array_equal(task.get_state(), episode.states[step + 1])
            np.testing.assert_array_equal(task.proprioception(), episode.proprio[step + 1])
            np.testing.assert_array_equal(task.object_state(), episode.objects[step + 1])
        np.testing.assert_array_equal(task.render(), episode.frames[-1])
    task.close()


def test_lengths_rewards_and_success(dataset):
    most = dataset.spec["max_steps"]
    assert len(dataset) == 10 and set(dataset.sources) <= {"expert", "play", "goal-blind"}
    for index, source in enumerate(dataset.sources):
        rewards, dones = dataset.arrays(index)["rewards"], dataset.arrays(index)["dones"]
        assert len(rewards) == len(dones) == dataset.lengths[index] - 1
        assert dones[-1] == 1 and not dones[:-1].any()
        assert bool(rewards.any()) == dataset.successes[index]
        assert dataset.lengths[index] >= 8
        if source == "expert" and dataset.successes[index]:
            assert len(rewards) == min(most, max(np.argmax(rewards) + 1 + 4, 7))
        else:
            assert len(rewards) == most
    actions = np.concatenate([dataset.arrays(index)["actions"] for index in range(len(dataset))])
    assert actions.dtype == np.float32
    assert (actions >= dataset.spec["action_low"]).all() and (actions <= dataset.spec["action_high"]).all()


def test_card_tells_what_was_collected(collected, dataset):
    card = json.loads((collected / "card.json").read_text())
    assert card["hash"] == dataset.hash
    assert card["frames"] == dataset.lengths.sum()
    assert sum(row["episodes"] for row in card["sources"].values()) == card["episodes"] == 10
    assert card["spec"] == dataset.spec and card["settings"] == SETTINGS.settings()
    assert card["frames_per_second_a_process"] > 1 and card["versions"]["numpy"] == np.__version__
    assert dataset.hash in (collected / "card.md").read_text()
    assert not (collected / "parts").exists()


def test_finished_collection_returns_at_once(collected):
    before = (collected / "episodes.hdf5").stat().st_mtime_ns
    began = time.process_time()
    assert collect(replace(SETTINGS, workers=1, out=collected)) == collected
    assert time.process_time() - began < 0.5
    assert (collected / "episodes.hdf5").stat().st_mtime_ns == before


KILLED = """
import os, signal, sys, threading
from rla_gym.collect.collect import CollectConfig
from rla_gym.collect.collect import collect

module = sys.modules[collect.__module__]
answers, receive = [], module.receive

def counted(*arguments):
    answers.append(receive(*arguments))
    if len(answers) == 4:  # by then the worker is at another episode
        threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return answers[-1]

if __name__ == "__main__":
    module.receive = counted
    collect({config!r})
"""


def test_killed_run_resumes_to_the_same_episodes(tmp_path):
    whole = EpisodeDataset(collect_here(replace(MANY, out=tmp_path / "whole")))
    out = tmp_path / "killed"
    script = tmp_path / "run.py"
    script.write_text(KILLED.format(config=replace(MANY, out=str(out))))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
    process = subprocess.Popen([sys.executable, str(script)], env=environment, stderr=subprocess.DEVNULL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "episodes.hdf5").exists()
    time.sleep(0.3)  # the orphaned worker ends after its episode
    kept = whole_parts(out)
    assert 4 <= len(kept) < MANY.episodes
    with h5py.File(kept[0], "r+") as file:
        file.attrs["seconds"] = 1e6  # a mark in the card: this part was kept, not collected again
    kept[1].write_bytes(kept[1].read_bytes()[:1000])  # cut off by a power cut
    (out / "parts" / f".000001.writing-{process.pid}.hdf5").write_bytes(b"half")

    resumed = EpisodeDataset(collect_here(replace(MANY, out=out)))
    assert len(resumed) == MANY.episodes and len(set(resumed.seeds)) == MANY.episodes
    assert resumed.hash == whole.hash == resumed.compute_hash()
    assert json.loads((out / "card.json").read_text())["frames_per_second_a_process"] < 0.1
    left = {".rla_gym.json", "card.json", "card.md", "collect.json", "episodes.hdf5"}
    assert set(os.listdir(out)) - {".episodes.hdf5.index.json"} == left


def test_dead_worker_is_reported_and_its_episode_collected_later(tmp_path):
    config = replace(MANY, out=tmp_path / "out")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(collect, config)
        wait_for(lambda: len(whole_parts(tmp_path / "out")) >= 2)
        (worker,) = active_children()
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(RuntimeError, match=r"collecting episode \d+ died.*exit code -9"):
            running.result(timeout=300)
    assert len(whole_parts(tmp_path / "out")) >= 2
    assert len(EpisodeDataset(collect_here(config))) == MANY.episodes


def test_files_in_the_way_are_kept(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "of-an-engine.step").write_text("years of work")
    with pytest.raises(FileExistsError, match="parts is in the way: `rla-gym collect` did not write it"):
        collect(replace(MANY, episodes=1, out=tmp_path))
    (tmp_path / "parts").rename(tmp_path / "my-parts")
    (tmp_path / "card.md").write_text("notes")
    with pytest.raises(FileExistsError, match="card.md is in the way"):
        collect(replace(MANY, episodes=1, out=tmp_path))
    assert sorted(os.listdir(tmp_path)) == ["card.md", "my-parts"]


def test_what_is_put_among_the_parts_is_kept(tmp_path):
    with output(tmp_path, "collect") as folder:  # as a run leaves it that is killed at once
        folder.claim(["parts"])
        (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "notes.txt").write_text("mine")
    collect_here(replace(MANY, episodes=1, out=tmp_path))
    assert os.listdir(tmp_path / "parts") == ["notes.txt"]


def test_a_part_that_cannot_be_read_now_is_kept_and_a_damaged_one_is_not(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    part = tmp_path / "000000.hdf5"
    with h5py.File(part, "w") as file:
        file.create_group("episode").attrs.update(num_samples=4, success=True)
        file.attrs["seconds"] = 1.0
    with part.open("r+b") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            _read_part(part)
    assert _read_part(part) == {"frames": 5, "success": True, "seconds": 1.0}
    part.write_bytes(part.read_bytes()[:500])
    assert _read_part(part) is None and not part.exists()


def test_a_worker_that_fails_sends_its_traceback():
    ours, theirs = Pipe()
    with pytest.raises(SystemExit), answering(theirs):
        raise ZeroDivisionError
    with pytest.raises(RuntimeError, match=r"in episode 2;(.|\n)*Traceback(.|\n)*ZeroDivisionError"):
        receive(ours, 2, None)


def test_what_the_system_refuses_a_worker_stops_the_run(tmp_path):
    with output(tmp_path, "collect") as folder:
        folder.claim(["parts"])
        (tmp_path / "parts" / "000002.hdf5").mkdir(
            parents=True
        )  # the episode can be recorded, but not put in its place
    with pytest.raises(IsADirectoryError, match="000002"):
        collect(replace(MANY, episodes=4, out=tmp_path))
    assert [path.name for path in whole_parts(tmp_path) if path.is_file()][:2] == [
        "000000.hdf5",
        "000001.hdf5",
    ]
    assert not active_children()


def test_other_settings_are_refused(collected):
    with pytest.raises(ValueError, match=r"episodes: 10 there, 11 asked for; seed: 6 there, 8 asked for"):
        collect(replace(SETTINGS, episodes=11, seed=8, out=collected))


def test_missing_demonstrator_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(PushCube, "demonstrators", ("expert", "play"))
    config = CollectConfig("push-cube", 2, play=0.0, goal_blind=0.5, out=tmp_path / "out")
    with pytest.raises(ValueError, match=r"'push-cube' has no goal-blind demonstrator.*their fractions to 0"):
        collect(config)
    with pytest.raises(
        ValueError, match=r"no interrupted demon.*\(now expert=0, .*goal-blind=0, interrupted=1\)"
    ):
        collect(replace(config, goal_blind=0.0, interrupted=1.0))
    assert not (tmp_path / "out").exists()


def test_a_task_without_a_demonstrator_is_recorded_in_play_with_its_options(tmp_path, capsys):
    """In worker processes, which import the module that the task and its success rule come from."""
    name, rule = "gymnasium:tests.tasks.user_tasks:UserPusher-v0", "tests.tasks.user_tasks:anywhere"
    options = {"frame_size": (28, 42), "max_steps": 8, "success": user_tasks.anywhere, "env_kwargs": {"frame_skip": 2}}
    config = CollectConfig(name, 2, goal_blind=0.2, workers=1, out=tmp_path / "out", options=options)
    folder = collect(config)
    assert "no scripted demonstrator: every episode is play" in capsys.readouterr().out
    with EpisodeDataset(folder) as dataset:
        assert list(dataset.sources) == ["play", "play"] and all(dataset.successes) and list(dataset.lengths) == [9, 9]
        recorded = {**options, "frame_size": [28, 42], "success": rule}
        assert dataset.spec["options"] == recorded and dataset.spec["control_hz"] == pytest.approx(50.0)
        task = make_task(dataset.task_name, **dataset.spec["options"])
        task.reset(0)
        task.set_state(dataset.episode(0).states[3])
        assert np.array_equal(task.render(), dataset.episode(0).frames[3]) and task.success()
        task.close()
    card = json.loads((folder / "card.json").read_text())
    assert card["settings"]["play"] == 1.0 and card["settings"]["options"] == recorded
    assert collect(config) == folder, "a finished folder is taken for what was asked for"
    with pytest.raises(ValueError, match="other settings.*options"):
        collect(replace(config, options={**options, "max_steps": 9}))


def test_a_success_rule_without_a_name_is_refused_before_anything_is_written(tmp_path):
    config = CollectConfig("gymnasium:Pusher-v5", 2, out=tmp_path / "out", options={"success": lambda env: True})
    with pytest.raises(ValueError, match="success=.* cannot be named"):
        collect(config)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"episodes": 0},
        {"workers": 0},
        {"seed": -1},
        {"noise": -0.1},
        {"play": 0.8, "goal_blind": 0.3},
        {"interrupted": -0.1},
        {"play": 0.4, "goal_blind": 0.2, "interrupted": 0.5},
    ],
)
def test_settings_out_of_range(wrong):
    with pytest.raises(ValueError, match="at least"):
        CollectConfig(**{"task": "push-cube", "episodes": 2, **wrong})
