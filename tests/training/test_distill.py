"""Distilling on real recorded frames: the student comes to give the store's tokens, and its run becomes an encoder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rla_gym.data import EpisodeDataset, TokenStore, encode_dataset
from rla_gym.models.encoder import Encoder
from rla_gym.training.distill import DistillTraining, trained_student
from rla_gym.training.loop import LoopConfig, fit
from rla_gym.training.run import TrainedRun
from tests.recording import record

QUIET = {"tensorboard": False, "progress": False, "cpu": True}


def training(store: TokenStore, dataset: EpisodeDataset, **options: int) -> DistillTraining:
    sizes = {"batch_size": 8, "seed": 0, "blocks": 1, "max_frames": 300, "held_out_frames": 64}
    return DistillTraining(store, dataset, **{**sizes, **options})


def test_frames_and_tokens_belong_together_and_are_training_ones(store: TokenStore, dataset: EpisodeDataset) -> None:
    trained = training(store, dataset)
    batch = trained.batch(2, 0)
    for row, tokens, frame in zip(batch["rows"].numpy(), batch["tokens"], batch["frames"], strict=True):
        episode = int(store.episode_of(row))
        assert episode in store.split("train")
        assert np.array_equal(frame, dataset.frames(episode)[row - store.starts[episode]])
        assert torch.equal(tokens, store.normalized(np.array([row]))[0])


def test_batches_are_functions_of_seed_step_and_rank(store: TokenStore, dataset: EpisodeDataset) -> None:
    one, two = (training(store, dataset, seed=1) for _ in range(2))
    assert all(torch.equal(tensor, two.batch(3, 0)[name]) for name, tensor in one.batch(3, 0).items())
    assert not one.batch(3, 0)["rows"].equal(one.batch(4, 0)["rows"])
    assert not one.batch(3, 0)["rows"].equal(one.batch(3, 1)["rows"])


def test_held_out_frames_are_never_trained_on(store: TokenStore, dataset: EpisodeDataset) -> None:
    trained = training(store, dataset, max_frames=100_000)
    assert trained.prefix == ""
    assert not np.isin(store.episode_of(trained.held_rows), store.episode_of(trained.rows)).any()


def test_the_student_learns_the_tokens_of_frames_it_never_saw(
    store: TokenStore, dataset: EpisodeDataset, tmp_path: Path
) -> None:
    trained = training(store, dataset)
    before = trained.evaluate(0)
    loop = LoopConfig(80, 8, lr=2e-3, warmup=10, ema=0.9, eval_every=80, optimizer="muon")
    after = fit(trained, loop, tmp_path, **QUIET)["metrics"]
    assert after["l1"] < 0.4 * before["l1"] and after["cosine"] > 0.9, (before, after)

    student = trained_student(TrainedRun.read(tmp_path))
    student.save(tmp_path / "student.safetensors")
    given = Encoder.load(tmp_path / "student.safetensors").encode(torch.from_numpy(trained.held_frames))
    error = (given - store.normalized(trained.held_rows)).abs().mean()
    assert float(error) == pytest.approx(after["l1"], rel=0.02)
    assert "pooled-pixels" in student.name and store.info["dataset"][:12] in student.config.description


def test_what_is_killed_goes_on_to_the_same_weights(store: TokenStore, dataset: EpisodeDataset, tmp_path: Path) -> None:
    loop = LoopConfig(4, 2, save_every=2, eval_every=4, optimizer="muon")
    fit(training(store, dataset, batch_size=2), loop, tmp_path / "whole", **QUIET)
    stopped = fit(training(store, dataset, batch_size=2), replace(loop, max_seconds=1e-9), tmp_path / "killed", **QUIET)
    assert stopped["step"] == 1
    fit(training(store, dataset, batch_size=2), loop, tmp_path / "killed", **QUIET)
    whole, killed = (TrainedRun.read(tmp_path / name).weights["student"] for name in ("whole", "killed"))
    assert all(torch.equal(weight, killed[name]) for name, weight in whole.items())


def test_a_student_encodes_a_data_set(dataset: EpisodeDataset, store: TokenStore, tmp_path: Path) -> None:
    training(store, dataset).model.save(tmp_path / "student.safetensors")
    student = Encoder.load(tmp_path / "student.safetensors")
    small = record("push-cube", 1, tmp_path / "data", play=1.0, seed=6)
    encoded = encode_dataset(small, student, tmp_path / "tokens", progress=False)
    assert encoded.tokens.shape[1:] == store.tokens.shape[1:]
    assert encoded.info["encoder"] == {"name": student.name, "hash": student.hash}


def test_refuses_another_data_set(store: TokenStore, tmp_path: Path) -> None:
    other = record("push-cube", 1, tmp_path, seed=9)
    with pytest.raises(ValueError, match="give the data set that was encoded"):
        training(store, other)
