"""The comparison of encoders: what it measures on is held out, a student's file is a candidate, errors are in mm."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.encoders import candidates, encode_all, probe_errors, sample_frames
from rla_gym.bench.fidelity.probe import ProbeConfig
from rla_gym.data import EpisodeDataset
from rla_gym.data.store import split_episodes
from rla_gym.models.student import StudentConfig, make_student
from tests.recording import record


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> EpisodeDataset:
    out = tmp_path_factory.mktemp("episodes")
    return record("push-cube", 30, out, play=0.7, seed=6)


def test_the_probe_is_measured_on_episodes_that_no_student_saw(dataset: EpisodeDataset) -> None:
    frames, positions, train = sample_frames(dataset, 120)
    learnt = split_episodes(dataset.seeds, "train")
    seen = np.concatenate([dataset.arrays(int(episode))["objects"][0, 3:5] for episode in learnt]).reshape(-1, 2)
    target = positions[:, 4:]
    of_learnt = np.array([(np.abs(seen - one).max(axis=1) < 1e-7).any() for one in target])
    assert len(frames) == len(positions) == len(train)
    np.testing.assert_array_equal(of_learnt, train)
    assert 0.6 < train.mean() < 0.95


def test_too_few_held_out_episodes_are_named(dataset: EpisodeDataset) -> None:
    with pytest.raises(ValueError, match=r"6000 frames need 100 held-out episodes, the data set has \d"):
        sample_frames(dataset, 6000)


def test_a_students_file_is_a_candidate(tmp_path: Path) -> None:
    config = StudentConfig((112, 112), (8, 8), channels=6, teacher="a-teacher", lesson="of a test", blocks=1)
    make_student(config, seed=0).save(tmp_path / "student.safetensors")
    assert not any("student" in name for name in candidates(None))
    (name,) = (name for name in candidates(tmp_path / "student.safetensors") if "student" in name)
    encode, grid, size = candidates(tmp_path / "student.safetensors")[name]()
    tokens, rate = encode_all(encode, torch.zeros(5, 112, 112, 3, dtype=torch.uint8), batch=2)
    assert "distilled from a-teacher" in name and grid == (8, 8) and 0.5e6 < size < 2e6
    assert tokens.shape == (5, 64, 6) and tokens.dtype == torch.float32 and rate > 1


def test_errors_are_millimetres_of_what_tokens_do_not_show() -> None:
    rng = np.random.default_rng(0)
    positions = rng.uniform(-0.1, 0.1, (400, 6)).astype(np.float32)
    tokens = torch.zeros(400, 16, 3)
    # The cube's patch alone is lit; nothing shows the others.
    cells = ((positions[:, :2] + 0.1) / 0.2 * 4).astype(int).clip(0, 3)
    tokens[torch.arange(400), torch.from_numpy(cells[:, 1] * 4 + cells[:, 0])] = torch.tensor([1.0, -1.0, 1.0])
    train = np.arange(400) < 320
    found = probe_errors(tokens, positions, train, (4, 4), ProbeConfig(steps=200, batch_size=32))
    assert found["cube"] < 35 < 60 < found["target"] < 130
