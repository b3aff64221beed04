"""Keypoint features: positions in range that follow what moves."""

import pytest
import torch

from rla_gym.models.features import FeaturesConfig, KeypointDecoder, KeypointFeatures, patch_positions

CONFIG = FeaturesConfig(channels=6, grid=(4, 5), keypoints=3, width=16, decoder_width=32)


def test_positions_go_row_by_row() -> None:
    positions = patch_positions((2, 4))
    assert positions.shape == (8, 2)
    torch.testing.assert_close(positions[0], torch.tensor([-0.75, -0.5]))
    torch.testing.assert_close(positions[5], torch.tensor([-0.25, 0.5]))


def test_features_are_bounded_and_batch_independent() -> None:
    model = KeypointFeatures(CONFIG, torch.Generator().manual_seed(0))
    tokens = 5 * torch.randn(16, 20, 6, generator=torch.Generator().manual_seed(1))
    features = model(tokens)
    assert features.shape == (16, CONFIG.size) and float(features.abs().max()) <= 1
    torch.testing.assert_close(model(tokens[8:]), features[8:])
    torch.testing.assert_close(model(tokens[:1]), features[:1])


def test_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"\(2, 19, 6\).*20"):
        KeypointFeatures(CONFIG)(torch.zeros(2, 19, 6))


def test_the_same_generator_gives_the_same_weights() -> None:
    one, two = (KeypointFeatures(CONFIG, torch.Generator().manual_seed(7)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_rebuilding_tokens_makes_a_keypoint_follow_the_moving_patch() -> None:
    """Without labels: frames differ only in where one bright patch is; afterwards features tell where.

    From some first weights keypoints get stuck, here and on real frames; from these they do not.
    """
    config = FeaturesConfig(channels=6, grid=(4, 4), keypoints=2, width=16, decoder_width=64)
    generator = torch.Generator().manual_seed(2)
    features, decoder = KeypointFeatures(config, generator), KeypointDecoder(config, generator=generator)
    background = torch.randn(16, 6, generator=generator)
    tokens = background.repeat(16, 1, 1)
    tokens[torch.arange(16), torch.arange(16)] += 3.0
    optimizer = torch.optim.Adam([*features.parameters(), *decoder.parameters()], 3e-3)
    for _ in range(1000):
        loss = (decoder(features(tokens)) - tokens).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        found = torch.cat([features(tokens), torch.ones(16, 1)], dim=1)
    true = patch_positions(config.grid)
    left = true - found @ torch.linalg.lstsq(found, true).solution
    assert float(left.square().mean() / true.square().mean()) < 0.1


def test_proprioception_explains_the_robot_and_has_to_be_given() -> None:
    config = FeaturesConfig(channels=6, grid=(4, 4), keypoints=2, width=16, decoder_width=32)
    decoder = KeypointDecoder(config, 3, torch.Generator().manual_seed(0))
    keypoints, proprio = torch.zeros(5, 4), torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    assert decoder(keypoints, proprio).shape == (5, 16, 6)
    assert not torch.allclose(decoder(keypoints, proprio), decoder(keypoints, 2 * proprio))
    with pytest.raises(ValueError, match="made for 3 numbers"):
        decoder(keypoints)
    with pytest.raises(ValueError, match=r"proprio has shape \(5, 2\)"):
        decoder(keypoints, proprio[:, :2])
