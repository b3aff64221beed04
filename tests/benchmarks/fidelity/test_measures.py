"""Measures on numbers that one can check by hand, and a probe that knows which angles look alike."""

import numpy as np
import pytest
import torch

from benchmarks.fidelity.images import BEST_PSNR, as_images, cached_lpips, image_errors
from benchmarks.fidelity.probe import Reader, readable
from benchmarks.fidelity.tokens import energy_score, motion_threshold, point_errors, sample_errors
from rla_gym.bench.fidelity.probe import ProbeConfig, StateProbe
from rla_gym.data import TokenStore
from rla_gym.training.metrics import psnr, ssim_map


def test_point_errors_by_hand() -> None:
    start, true = torch.zeros(1, 4, 2), torch.zeros(1, 4, 2)
    true[0, 0] = torch.tensor([3.0, 4.0])
    predicted = true.clone()
    predicted[0, 0] = torch.tensor([4.0, 3.0])
    moving = torch.tensor([[True, False, False, False]])
    found = {name: float(value) for name, value in point_errors(predicted, true, start, moving).items()}
    assert found["moving_l1"] == pytest.approx(1) and found["tokens_l1"] == pytest.approx(1 / 4)
    assert found["moving_l2"] == pytest.approx(1) and found["tokens_l2"] == pytest.approx(1 / 2)
    assert found["moving_cosine"] == pytest.approx(1 - 24 / 25)
    assert found["moving_motion"] == pytest.approx(12.5)
    nowhere = point_errors(predicted, true, start, torch.zeros_like(moving))
    assert torch.isnan(nowhere["moving_l1"]).all() and not torch.isnan(nowhere["tokens_l1"]).any()


def test_energy_score_prefers_the_right_spread_and_equals_the_error_of_one_sample() -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(400, 3, 2, generator=generator)
    moving = torch.ones(400, 3, dtype=torch.bool)

    def score(scale: float) -> float:
        samples = scale * torch.randn(400, 8, 3, 2, generator=generator)
        return float(sample_errors(samples, true, moving)["tokens_energy"].mean())

    right, certain, wide = score(1.0), score(0.0), score(3.0)
    assert right < certain and right < wide
    one = sample_errors(torch.ones(400, 1, 3, 2), true, moving)
    assert torch.allclose(one["tokens_energy"], (true - 1).square().mean(dim=(1, 2)).sqrt())
    assert torch.equal(one["tokens_energy"], one["tokens_best"])
    # Errors 1 and 3, their samples 2 apart: 2 - 1/2 * 2.
    assert float(energy_score(torch.tensor([[1.0, 3.0]]), [torch.tensor([2.0])])) == pytest.approx(1.0)


def test_a_quarter_of_the_patches_exceeds_the_threshold(encoded: TokenStore) -> None:
    near, far = motion_threshold(encoded, 4), motion_threshold(encoded, 24)
    assert 0 < near < far
    episodes = encoded.split("train")
    rows = np.concatenate([encoded.starts[e] + np.arange(encoded.lengths[e] - 4) for e in episodes])
    share = (encoded.normalized(rows + 4) - encoded.normalized(rows)).norm(dim=-1) > near
    assert float(share.float().mean()) == pytest.approx(0.25, abs=0.03)


def test_a_cube_turned_by_a_quarter_looks_the_same_and_a_t_does_not() -> None:
    objects = np.array([[0.1, 0.2, 0.3, 0.0, 0.0]], np.float32)
    for name, expected in (("cube", 4.0), ("block", 86.0)):
        spec = {"object_names": [f"{name}_x", f"{name}_y", f"{name}_yaw", "target_x", "target_y"], "proprio_names": []}
        names = tuple(readable(spec, objects, np.zeros((1, 0))))
        reader = Reader(StateProbe(names, 4, (2, 2), ProbeConfig()), spec)
        turned = objects + np.float32([0.003, -0.004, np.pi / 2 - np.radians(4), 0, 0])
        true, read = (reader.truth(values, np.zeros((1, 0))) for values in (objects, turned))
        errors = reader.errors(read, true)
        assert errors[f"{name}_mm"] == pytest.approx(5.0, abs=1e-3)
        assert errors[f"{name}_deg"] == pytest.approx(expected, abs=1e-2)
        # 0.1 and 0.2 m off the target in the truth; 3 mm further out and 4 mm nearer in what was read.
        nearer = reader.goalward(true, read, true, true)
        assert nearer["goalward_mm"] == pytest.approx(1000 * (np.hypot(0.1, 0.2) - np.hypot(0.103, 0.196)), abs=1e-2)
        assert nearer["drift_mm"] == nearer["goalward_mm"] == nearer["goalward_bias_mm"]
        moved = reader.moved_error(read, true, true + 0.01)[f"{name}_moved_mm"]
        assert moved == pytest.approx(1000 * np.hypot(0.007, 0.014), abs=1e-2)
        assert np.isnan(reader.moved_error(read, true, true + 0.003)[f"{name}_moved_mm"]).all()
        assert np.isnan(reader.goalward(true, read, true, read)["drift_mm"]).all()


def test_a_probe_learns_to_read_angles(encoded: TokenStore) -> None:
    reader = Reader.train(encoded, steps=200, seed=0)
    rows = np.arange(0, len(encoded), 7)
    true = reader.truth(encoded.objects[rows], encoded.proprio[rows])
    errors = reader.errors(reader.read(encoded.normalized(rows)), true)
    assert set(errors) == {"cube_mm", "cube_deg", "target_mm", "pusher_mm"}
    assert errors["cube_deg"].mean() < 20  # guessing gives 22.5
    guess = 1000 * np.linalg.norm(true[:, :2] - true[:, :2].mean(axis=0), axis=1).mean()
    assert errors["cube_mm"].mean() < 0.7 * guess


def test_measures_of_frames_agree_with_ours() -> None:
    pytest.importorskip("torchmetrics")
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (3, 48, 48, 3), dtype=np.uint8)
    noisy = np.clip(frames + rng.normal(0, 20, frames.shape), 0, 255).astype(np.uint8)
    found = image_errors(noisy, frames)
    ours = ssim_map(as_images(noisy), as_images(frames))[:, :, 5:-5, 5:-5].mean(dim=(1, 2, 3))
    np.testing.assert_allclose(found["ssim"], ours, atol=2e-3)
    assert float(found["psnr"].mean()) == pytest.approx(psnr(as_images(noisy), as_images(frames)), abs=1e-3)
    same = image_errors(frames, frames)
    assert same["ssim"] == pytest.approx(1, abs=1e-5) and (same["psnr"] == BEST_PSNR).all()


def test_lpips_is_never_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"alexnet.*never fetched silently: get it from https"):
        cached_lpips("alex")
    with pytest.raises(ValueError, match="alex, vgg, squeeze"):
        cached_lpips("resnet")
