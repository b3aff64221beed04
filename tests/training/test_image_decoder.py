"""Training of the image decoder on real frames, and the image measures."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rla_gym.models.image_decoder import ImageDecoderConfig
from rla_gym.training.image_decoder import ImageDecoderTraining
from rla_gym.training.loop import LoopConfig, fit, load_weights
from rla_gym.training.metrics import psnr, ssim_map
from tests.recording import record

QUIET = {"tensorboard": False, "progress": False, "cpu": True}


@pytest.fixture
def config(store):
    return ImageDecoderConfig(
        in_channels=store.tokens.shape[2], channels=(32, 16, 8, 8, 8), grid_blocks=0, stage_blocks=(0, 0, 0, 0),
        head_block=False,
    )  # fmt: skip


def training(store, dataset, config, **options):
    return ImageDecoderTraining(
        store,
        dataset,
        config,
        **{"batch_size": 4, "seed": 0, "max_frames": 64, "held_out_frames": 16, **options},
    )


def test_tokens_and_frames_belong_together(store, dataset, config):
    trainable = training(store, dataset, config)
    batch = trainable.batch(2, 0)
    assert all(torch.equal(tensor, trainable.batch(2, 0)[name]) for name, tensor in batch.items())
    for row, tokens, frame in zip(batch["rows"].numpy(), batch["tokens"], batch["frames"], strict=True):
        episode = int(store.episode_of(row))
        assert episode in store.split("train")
        assert np.array_equal(frame, dataset.frames(episode)[row - store.starts[episode]])
        assert torch.equal(tokens, store.normalized(np.array([row]))[0])


def test_moving_things_weigh_more(store, dataset, config):
    trainable = training(store, dataset, config, foreground_weight=5.0)
    images = trainable.background.expand(2, -1, -1, -1).clone()
    images[1, :, 40:50, 40:50] = 1.0 - images[1, :, 40:50, 40:50].round()
    weights = trainable.pixel_weights(images)
    assert weights.mean().item() == pytest.approx(1.0, abs=1e-5)
    assert (weights[1, 0, 45, 45] / weights[1, 0, 5, 5]).item() == pytest.approx(5.0)
    plain = training(store, dataset, config, foreground_weight=1.0)
    assert torch.allclose(plain.pixel_weights(images), torch.ones(2, 1, *images.shape[2:]))


def test_learns_what_the_tokens_show(store, dataset, config, tmp_path):
    trainable = training(store, dataset, config, max_frames=1000)
    loop = LoopConfig(steps=250, batch_size=4, lr=1e-2, warmup=5, save_every=250, eval_every=250, ema=0.9)
    result = fit(trainable, loop, tmp_path, **QUIET)
    assert np.isfinite(result["loss"])
    metrics = result["metrics"]
    trainable.held_rows = np.roll(trainable.held_rows, 5)  # the tokens of other frames
    trainable.model.load_state_dict(load_weights(tmp_path)["image_decoder"])
    other = trainable.evaluate(250)
    assert metrics["psnr"] > other["psnr"] + 0.8
    assert metrics["l1_foreground"] < other["l1_foreground"] - 0.005


def test_resumes(store, dataset, config, tmp_path):
    loop = LoopConfig(steps=2, batch_size=4)
    fit(training(store, dataset, config), loop, tmp_path, **QUIET)
    longer = fit(training(store, dataset, config), replace(loop, steps=4), tmp_path, extend=True, **QUIET)
    assert longer["step"] == 4


def test_refuses_another_data_set(store, config, tmp_path):
    other = record("push-cube", 1, tmp_path, seed=9)
    with pytest.raises(ValueError, match="give the data set that was encoded"):
        training(store, other, config)


def test_ssim_and_psnr():
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(ssim_map(images, images), torch.ones_like(images), atol=1e-4)
    # Two flat images: the contrast term is 1, the luminance term (2 ab + c) / (a² + b² + c).
    one, other = torch.full((1, 3, 16, 16), 0.2), torch.full((1, 3, 16, 16), 0.6)
    assert ssim_map(one, other).mean().item() == pytest.approx((0.24 + 1e-4) / (0.4 + 1e-4), abs=1e-4)
    assert ssim_map(images, 1 - images).mean() < 0
    assert psnr(one, one + 0.1) == pytest.approx(20.0, abs=1e-3)
    with pytest.raises(ValueError, match="too small"):
        ssim_map(images[..., :5], images[..., :5])
