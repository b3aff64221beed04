from __future__ import annotations

import pytest
import torch

from rla_gym.models.image_decoder import ImageDecoder, ImageDecoderConfig

SMALL = ImageDecoderConfig(
    in_channels=12, channels=(16, 8, 8), grid_blocks=1, stage_blocks=(1, 0), head_block=False, groups=4
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def decoder() -> ImageDecoder:
    model = ImageDecoder(SMALL, generator())
    torch.nn.init.normal_(model.out_conv[1].weight, generator=generator(1))
    return model


def tokens(patches: int = 6) -> torch.Tensor:
    return torch.randn(2, patches, 12, generator=generator(2))


def test_grid_sets_the_image_shape_and_patches_stay_in_place():
    model = decoder()
    assert model.factor == 4
    assert model(tokens(), (2, 3)).shape == (2, 3, 8, 12)
    assert model(tokens(), (3, 2)).shape == (2, 3, 12, 8)
    # Change one corner patch of a wide grid: the picture changes there most, and not at random places.
    wide = torch.zeros(1, 64, 12)
    changed = wide.clone()
    changed[0, 7] = 3.0
    difference = (model(changed, (8, 8)) - model(wide, (8, 8))).abs().sum(1)[0]
    assert difference[:4, -4:].mean() > 3 * difference[-4:, :4].mean()


def test_image_is_clamped_and_resized():
    model = decoder()
    raw = model(tokens(), (2, 3))
    assert raw.min() < 0 or raw.max() > 1
    image = model.image(tokens(), (2, 3))
    assert torch.equal(image, raw.clamp(0, 1))
    resized = model.image(tokens(), (2, 3), (7, 10))
    assert resized.shape == (2, 3, 7, 10) and resized.min() >= 0 and resized.max() <= 1


def test_untrained_decoder_is_black():
    assert torch.equal(ImageDecoder(SMALL, generator()).image(tokens(), (2, 3)), torch.zeros(2, 3, 8, 12))


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"tokens has shape \(2, 6, 12\), expected \(batch, 4, 12\)"):
        decoder()(tokens(), (2, 2))
    with pytest.raises(ValueError, match="stage_blocks has 1 entries, expected one for each doubling: 2"):
        ImageDecoder(ImageDecoderConfig(12, (16, 8, 8), 1, (1,)))
    with pytest.raises(ValueError, match="must all be multiples of the 8 groups"):
        ImageDecoder(ImageDecoderConfig(12, (16, 12), 1, (1,)))


def test_overfits_a_few_images():
    model = ImageDecoder(SMALL, generator())
    target = torch.rand(2, 3, 2, 3, generator=generator(3)).repeat_interleave(4, 2).repeat_interleave(4, 3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    losses = []
    for _ in range(120):
        loss = (model(tokens(), (2, 3)) - target).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4


def test_bfloat16_autocast_returns_float32():
    model = decoder()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        image = model.image(tokens(), (2, 3), (7, 10))
    assert image.dtype == torch.float32
    assert (image - model.image(tokens(), (2, 3), (7, 10))).abs().mean() < 0.02
