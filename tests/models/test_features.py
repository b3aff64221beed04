"""Keypoint features: positions in range that follow what moves."""

from dataclasses import replace

import pytest
import torch

from rla_gym.models.features import FeaturesConfig, KeypointDecoder, KeypointFeatures, neighbours, patch_positions

CONFIG = FeaturesConfig(channels=6, grid=(4, 5), keypoints=3, width=16, decoder_width=32)


def test_positions_go_row_by_row() -> None:
    positions = patch_positions((2, 4))
    assert positions.shape == (8, 2)
    torch.testing.assert_close(positions[0], torch.tensor([-0.75, -0.5]))
    torch.testing.assert_close(positions[5], torch.tensor([-0.25, 0.5]))


def test_neighbours_are_those_of_the_grid() -> None:
    found = neighbours((3, 4))
    assert found.shape == (12, 9)
    assert found[5].tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert found[0].tolist() == [12, 12, 12, 12, 0, 1, 12, 4, 5]


def test_context_is_a_convolution() -> None:
    config = replace(CONFIG, context_blocks=1)
    model = KeypointFeatures(config, torch.Generator().manual_seed(0))
    tokens = torch.randn(3, 20, 6, generator=torch.Generator().manual_seed(1))
    weight = model.context[0].weight.unflatten(1, (3, 3, config.width)).permute(0, 3, 1, 2)
    hidden = torch.nn.functional.gelu(model.hidden(torch.nn.functional.gelu(model.input(tokens) + model.position)))
    image = hidden.transpose(1, 2).unflatten(2, config.grid)
    around = torch.nn.functional.conv2d(image, weight, model.context[0].bias, padding=1).flatten(2).transpose(1, 2)
    attention = model.maps(hidden + torch.nn.functional.gelu(around)).softmax(dim=1)
    places = torch.einsum("blm,lc->bcm", attention, model.positions).flatten(1)
    torch.testing.assert_close(model(tokens), places)


@pytest.mark.parametrize("blocks", [0, 2])
def test_features_are_bounded_and_batch_independent(blocks: int) -> None:
    model = KeypointFeatures(replace(CONFIG, context_blocks=blocks), torch.Generator().manual_seed(0))
    tokens = 5 * torch.randn(16, 20, 6, generator=torch.Generator().manual_seed(1))
    features = model(tokens)
    assert features.shape == (16, CONFIG.size) and float(features.abs().max()) <= 1
    torch.testing.assert_close(model(tokens[8:]), features[8:])


def test_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"\(2, 19, 6\).*20"):
        KeypointFeatures(CONFIG)(torch.zeros(2, 19, 6))


def test_the_same_generator_gives_the_same_weights() -> None:
    one, two = (KeypointFeatures(CONFIG, torch.Generator().manual_seed(7)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_rebuilding_tokens_makes_a_keypoint_follow_the_moving_patch() -> None:
    """Without labels: frames differ only in where one bright patch is; afterwards features tell where."""
    config = FeaturesConfig(channels=6, grid=(4, 4), keypoints=2, width=16, decoder_width=64)
    generator = torch.Generator().manual_seed(0)
    features, decoder = KeypointFeatures(config, generator), KeypointDecoder(config, generator=generator)
    background = torch.randn(16, 6, generator=generator)
    tokens = background.repeat(16, 1, 1)
    tokens[torch.arange(16), torch.arange(16)] += 3.0
    optimizer = torch.optim.Adam([*features.parameters(), *decoder.parameters()], 3e-3)
    for _ in range(600):
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
