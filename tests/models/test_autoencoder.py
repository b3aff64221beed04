from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rla_gym.models.autoencoder import RLAAutoencoder, RLAConfig, autoencoder_loss, moving_patch_weights

SMALL = RLAConfig(
    channels=12, patches=9, latent_tokens=4, latent_channels=6, encoder_width=32, encoder_blocks=2,
    encoder_heads=4, decoder_width=48, decoder_blocks=2, decoder_heads=4,
)  # fmt: skip
OURS = replace(SMALL, position_embedding=True, residual_decoder=True)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pair(batch: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = torch.randn(batch, 9, 12, generator=generator())
    return tokens, tokens + 0.5 * torch.randn(batch, 9, 12, generator=generator(1))


@pytest.mark.parametrize("config", [SMALL, OURS])
def test_shapes_and_types(config):
    model = RLAAutoencoder(config, generator())
    tokens, next_tokens = pair()
    predicted, z = model(tokens, next_tokens)
    assert z.shape == (8, 4, 6) and predicted.shape == (8, 9, 12)
    assert z.dtype == predicted.dtype == torch.float32


def test_untrained_decoder_predicts_zero_or_no_change():
    tokens, next_tokens = pair()
    assert torch.equal(RLAAutoencoder(SMALL, generator())(tokens, next_tokens)[0], torch.zeros_like(tokens))
    assert torch.equal(RLAAutoencoder(OURS, generator())(tokens, next_tokens)[0], tokens)


def test_position_embedding_makes_patch_order_matter():
    """Without positions, z does not change if the patches are permuted; with them it does."""
    residual, order = pair()[0], torch.randperm(9, generator=generator())
    for config, same in ((SMALL, True), (OURS, False)):
        model = RLAAutoencoder(config, generator())
        difference = (model.encode(residual[:, order]) - model.encode(residual)).abs().max().item()
        assert (difference < 1e-5) == same


def test_any_grid_without_position_embedding_only():
    residual = torch.randn(2, 20, 12, generator=generator())
    assert RLAAutoencoder(SMALL, generator()).encode(residual).shape == (2, 4, 6)
    with pytest.raises(ValueError, match="residual has 20 patches, but the model's position embedding was built for 9"):
        RLAAutoencoder(OURS, generator()).encode(residual)


def test_wrong_shapes_are_named():
    model, tokens = RLAAutoencoder(OURS, generator()), pair()[0]
    with pytest.raises(ValueError, match=r"residual has shape \(8, 9, 11\), expected \(batch, patches, 12\)"):
        model.encode(tokens[..., :11])
    with pytest.raises(ValueError, match=r"z has shape \(8, 4, 5\), expected \(8, 4, 6\)"):
        model.decode(torch.zeros(8, 4, 5), tokens)
    with pytest.raises(ValueError, match=r"z has shape \(7, 4, 6\), expected \(8, 4, 6\)"):
        model.decode(torch.zeros(7, 4, 6), tokens)


def test_token_projection_is_absent_at_equal_width():
    """The released decoder has no `token_proj` where slots are as wide as the network."""
    names = RLAAutoencoder(replace(SMALL, latent_channels=48), generator()).state_dict()
    assert not any("token_proj" in name for name in names)
    assert "decoder.token_proj.weight" in RLAAutoencoder(SMALL, generator()).state_dict()


def test_moving_patches_weigh_more_with_mean_one():
    residual = torch.zeros(2, 8, 3)
    residual[0, :2] = 5.0
    weights = moving_patch_weights(residual, moving_weight=4.0, moving_quantile=0.8)
    assert weights.mean().item() == pytest.approx(1.0)
    assert weights[0, 0].item() == pytest.approx(4 * weights[1, 0].item())
    still = moving_patch_weights(torch.zeros(2, 8, 3), moving_weight=4.0, moving_quantile=0.8)
    assert torch.equal(still, torch.ones(2, 8, 1))


def test_loss_values():
    tokens, target = torch.zeros(1, 4, 2), torch.zeros(1, 4, 2)
    target[0, 0] = 2.0
    predicted = torch.zeros(1, 4, 2)
    assert autoencoder_loss(predicted, tokens, target).item() == pytest.approx((2 + 4) / 4)
    assert autoencoder_loss(predicted, tokens, target, mse_weight=0.0).item() == pytest.approx(0.5)
    # One of four patches moves: weights 3, 1, 1, 1 over their mean 1.5, so the only error counts twice.
    weighted = autoencoder_loss(predicted, tokens, target, moving_weight=3.0, moving_quantile=0.5)
    assert weighted.item() == pytest.approx(2 * 1.5)


@pytest.mark.parametrize("config", [SMALL, OURS])
def test_overfits_a_few_samples(config):
    model, (tokens, next_tokens) = RLAAutoencoder(config, generator()), pair()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.0)
    losses = []
    for _ in range(200):
        loss = autoencoder_loss(model(tokens, next_tokens)[0], tokens, next_tokens)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4


def test_bfloat16_autocast_stays_close_and_returns_float32():
    model, (tokens, next_tokens) = RLAAutoencoder(OURS, generator()), pair()
    torch.nn.init.xavier_uniform_(model.decoder.out_layer.weight, generator=generator(2))
    with torch.no_grad():
        exact = model(tokens, next_tokens)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(tokens, next_tokens)
    for a, b in zip(exact, rounded, strict=True):
        assert b.dtype == torch.float32
        assert 0 < (a - b).abs().mean() < 0.03 * a.abs().mean()


LINEAR = replace(OURS, linear_path=True)


def with_components(config: RLAConfig) -> RLAAutoencoder:
    """A fresh model whose linear path has orthonormal directions."""
    model = RLAAutoencoder(config, generator())
    model.components.copy_(torch.linalg.qr(torch.randn(108, 24, generator=generator(5))).Q.T)
    return model


@pytest.mark.parametrize("blocks", [0, 2])
def test_a_fresh_linear_path_is_the_projection_on_its_components(blocks):
    model, (tokens, next_tokens) = with_components(replace(LINEAR, encoder_blocks=blocks)), pair()
    predicted, z = model(tokens, next_tokens)
    flat = (next_tokens - tokens).flatten(1)
    torch.testing.assert_close(z.flatten(1), flat @ model.components.T, atol=1e-5, rtol=0)
    projected = flat @ model.components.T @ model.components
    torch.testing.assert_close((predicted - tokens).flatten(1), projected, atol=1e-5, rtol=0)


def test_components_are_kept_but_not_trained():
    model = with_components(LINEAR)
    assert "components" in model.state_dict() and "components" not in dict(model.named_parameters())
    assert "components" not in RLAAutoencoder(OURS, generator()).state_dict()
    alone = RLAAutoencoder(replace(LINEAR, encoder_blocks=0), generator())
    assert alone.encoder is None and not any(name.startswith("encoder") for name in alone.state_dict())


def test_a_linear_path_takes_its_own_grid_alone():
    model = with_components(replace(SMALL, linear_path=True, encoder_blocks=0))
    with pytest.raises(ValueError, match=r"residual has shape \(2, 20, 12\), expected \(batch, 9, 12\)"):
        model.encode(torch.zeros(2, 20, 12))
    with pytest.raises(ValueError, match=r"tokens has shape \(2, 20, 12\)"):
        model.decode(torch.zeros(2, 4, 6), torch.zeros(2, 20, 12))


def test_linear_latents_are_float32_under_autocast():
    model, (tokens, next_tokens) = with_components(replace(LINEAR, encoder_blocks=0)), pair()
    with torch.autocast("cpu", torch.bfloat16):
        predicted, z = model(tokens, next_tokens)
    assert z.dtype == predicted.dtype == torch.float32


def test_no_encoder_at_all_is_refused():
    with pytest.raises(ValueError, match="encoder_blocks=0 without linear_path"):
        RLAAutoencoder(replace(OURS, encoder_blocks=0), generator())


def test_both_paths_add_up():
    """What the encoder's network says is added to the linear code, and the decoder's to the linear reconstruction."""
    model, (tokens, next_tokens) = with_components(LINEAR), pair()
    for layer in (model.encoder.out_layer, model.decoder.out_layer):
        torch.nn.init.xavier_uniform_(layer.weight, generator=generator(2))
    residual = next_tokens - tokens
    z = model.encode(residual)
    torch.testing.assert_close(z, model.project(residual) + model.encoder(residual), atol=1e-5, rtol=0)
    decoded = model.decode(z, tokens) - tokens
    linear = (z.flatten(1) @ model.components).view_as(tokens)
    torch.testing.assert_close(decoded, linear + model.decoder(tokens, z), atol=1e-5, rtol=0)
