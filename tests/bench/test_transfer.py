"""Agents in the dream and in the simulator, from the same starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
import pytest
import torch

from rla_gym.bench.agents import load_agent
from rla_gym.bench.play import play
from rla_gym.bench.results import Results
from rla_gym.bench.run import run
from rla_gym.bench.sides import Sides
from rla_gym.bench.starts import held_out_starts
from rla_gym.bench.transfer import Transfer, object_gap, worth_seeing
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.store import save_checkpoint
from rla_gym.envs.dream_episodes import DreamEpisodes
from rla_gym.envs.options import EpisodeOptions
from rla_gym.envs.real_episodes import RealEpisodes
from rla_gym.tasks.simulators import LocalSimulators

SMALL = {"episodes": 3, "num_envs": 2, "workers": 0, "time_limit": 2, "later_frames": True}


@pytest.fixture(scope="module")
def measured(
    checkpoint: Path, agents: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Results, Path]:
    sources = (str(agents["ppo"]), str(agents["sac"]))
    benchmark = Transfer(ckpt=str(checkpoint), agents=sources, videos=2, **SMALL)
    return run(benchmark, tmp_path_factory.mktemp("transfer"), progress=False)


def test_every_agent_is_played_on_both_sides_and_the_file_says_all(measured: tuple[Results, Path]) -> None:
    results, path = measured
    read = Results.read(path)
    assert read.to_dict() == results.to_dict()
    for name, chunk in (("ppo", 4), ("sac", 2)):
        assert read.facts["agents"][name]["chunk"] == chunk
        for outcomes in read.episodes["agents"][name].values():
            assert set(outcomes) >= {"success", "steps", "return", "least_distance"}
            assert all(len(values) == 3 for values in outcomes.values())
            assert (outcomes["steps"] <= 2).all() and (outcomes["steps"] > 0).all()
    assert {"dream", "real"} == set(read.episodes["agents"]["ppo"])
    assert "| sac |" in read.table()
    assert path.stat().st_size < 20_000


def test_both_sides_begin_in_the_same_state(measured: tuple[Results, Path]) -> None:
    results, _ = measured
    assert results.episodes["starts"]["object_gap"].max() < 1e-6
    for sides in results.episodes["agents"].values():
        first, second = (sides[side]["start_distance"] for side in ("dream", "real"))
        np.testing.assert_allclose(first, second, rtol=0.02)
        assert np.ptp(first) > 0  # starts differ among themselves


def test_another_state_is_noticed(bundle: Bundle) -> None:
    starts = held_out_starts(bundle, 2, 0)
    objects = bundle.references.objects.numpy()[starts.rows]
    gaps = object_gap(starts, [objects, objects + np.array([[0.0], [0.01]])])
    np.testing.assert_allclose(gaps, [0.0, 0.01], atol=1e-6)


def test_what_follows_from_a_start_does_not_depend_on_the_block(bundle: Bundle, agents: dict[str, Path]) -> None:
    agent, starts = load_agent(str(agents["ppo"]), bundle), held_out_starts(bundle, 5, 0, later_frames=True)
    found = [
        play(agent, DreamEpisodes(bundle, batch, EpisodeOptions(time_limit=2)), starts) for batch in (1, 2, 5)
    ]
    for other in found[1:]:
        for name, values in found[0].items():
            np.testing.assert_array_equal(values, other[name])


def test_an_agent_that_repeats_the_recording_solves_it_in_reality(bundle: Bundle) -> None:
    references = bundle.references
    solved = np.flatnonzero(references.successes.numpy())
    starts = replace(held_out_starts(bundle, 1, 0), episode=solved[:1], frame=np.zeros(1, np.int64))
    first, length = int(references.starts[solved[0]]), int(references.lengths[solved[0]])
    actions = bundle.scale_actions(references.actions[first : first + length - 1].numpy())
    chunks = actions[: len(actions) // 4 * 4].reshape(-1, 4 * actions.shape[1])

    class Recorded:
        def predict(self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False):
            step = 0 if state is None else state
            return chunks[[min(step, len(chunks) - 1)]], step + 1

    agent = replace(load_agent("rla_gym.bench.agents:random_policy", bundle), policy=Recorded())
    episodes = RealEpisodes(bundle, 1, EpisodeOptions(time_limit=len(chunks)), LocalSimulators("push-cube"))
    found = play(agent, episodes, starts)
    episodes.close()
    assert found["success"].all() and found["least_distance"][0] < found["start_distance"][0]


def test_videos_show_both_sides(measured: tuple[Results, Path]) -> None:
    _, path = measured
    frames = imageio.mimread(path.with_name("ppo.mp4"), memtest=False)
    height, width = frames[0].shape[:2]
    assert width > 2 * 3 * 112 and height > 3 * 112 and len(frames) >= 2 * (3 + 4)
    left, right = frames[0][:, : width // 2].astype(float), frames[0][:, width // 2 :].astype(float)
    assert left[200:300].std() > 5 and right[200:300].std() > 5


def test_starts_that_are_shown() -> None:
    sides = {"dream": {"success": [1, 1, 0, 0]}, "real": {"success": [1, 0, 1, 0]}}
    assert worth_seeing(sides, 1).tolist() == [1]
    assert worth_seeing(sides, 2).tolist() == [1, 2]
    assert worth_seeing(sides, 9).tolist() == [0, 1, 2, 3]


def test_without_a_simulator_the_dream_is_measured(bundle: Bundle, agents: dict[str, Path], tmp_path: Path) -> None:
    references = replace(bundle.references, states=torch.zeros(len(bundle.references.tokens), 0, dtype=torch.float64))
    config = replace(bundle.config, thresholds={}, image_decoder=None)
    poor = replace(bundle, references=references, config=config, image_decoder=None, path=None)
    ckpt = save_checkpoint(tmp_path / "poor", poor)
    benchmark = Transfer(ckpt=str(ckpt), agents=(str(agents["ppo"]),), **SMALL)
    results = benchmark.measure(progress=False)
    notes = "\n".join(results.notes)
    assert "only the dream was measured, not reality: the recordings have no simulator states" in notes
    assert "success in the dream was not measured: the checkpoint has no threshold" in notes
    assert benchmark.illustrate(results, tmp_path)[0].startswith("no videos: checkpoint 'small' has no image decoder")
    assert set(results.episodes["agents"]["ppo"]) == {"dream"}
    assert results.summary["agents"]["ppo"].keys() == {"dream"} and "| ppo | – | – |" in results.table()


def test_a_task_that_cannot_be_made_is_one_line(bundle: Bundle) -> None:
    unknown = replace(bundle, config=replace(bundle.config, task="nowhere"))
    starts = held_out_starts(bundle, 1, 0)
    assert Sides(bundle, starts).problem() is None
    assert "nowhere" in (Sides(unknown, starts).problem() or "")


def test_a_folder_with_another_result_is_left_alone(measured: tuple[Results, Path], checkpoint: Path) -> None:
    _, path = measured
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="other settings: choose another folder"):
        run(Transfer(ckpt=str(checkpoint), agents=("rla_gym.bench.agents:random_policy",)), path.parent)
    assert path.read_bytes() == before
