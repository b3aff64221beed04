from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rla_gym.models.action_encoder import ActionEncoder
from rla_gym.models.flow import flow_loss, interpolate, target_velocity
from rla_gym.models.world_model import FlowWorldModel
from tests.models.flows import OURS, SMALL, generator, inputs, noise, randomised, without_proprio


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, flow_width=48), OURS, replace(OURS, prediction="latent")])
def test_shapes_and_types(config):
    model = randomised(config)
    given = inputs() if config.proprio_size else without_proprio(**inputs())
    c = model.condition(**given)
    assert c.action.shape == (6, 32) and c.tokens.shape == (6, 9, 32) and len(c) == 6
    velocity = model.velocity(noise(), torch.rand(6, generator=generator()), c)
    assert velocity.shape == (6, 4, 6) and velocity.dtype == torch.float32
    assert model.sample(c, noise(), 3).shape == (6, 4, 6)
    if config.proprio_size:
        assert model.proprio_delta(c).shape == (6, 2)
    else:
        with pytest.raises(ValueError, match="proprio_size=0"):
            model.proprio_delta(c)


def test_slots_are_exchangeable_unless_embedded():
    order = torch.tensor([2, 0, 3, 1])
    for slot_embedding in (False, True):
        model = randomised(replace(OURS, slot_embedding=slot_embedding))
        c, t = model.condition(**inputs()), torch.tensor([0.4])
        difference = model.velocity(noise()[:, order], t, c) - model.velocity(noise(), t, c)[:, order]
        assert (difference.abs().max().item() < 1e-5) == (not slot_embedding)


def test_cached_keys_and_values_equal_recomputed_ones():
    model = randomised(OURS)
    c = model.condition(**inputs())
    for block, keys, values in zip(model.flow_blocks, c.keys, c.values, strict=True):
        fresh_keys, fresh_values = block.cross_attn.keys_values(c.tokens)
        assert torch.equal(keys, fresh_keys) and torch.equal(values, fresh_values)


def test_each_input_changes_the_velocity():
    model, t = randomised(OURS), torch.tensor([0.6])
    reference = model.velocity(noise(), t, model.condition(**inputs()))
    for name, tensor in inputs().items():
        changed = model.velocity(noise(), t, model.condition(**{**inputs(), name: tensor.flip(0)}))
        assert (changed - reference).abs().max() > 1e-4, name
    assert (model.velocity(noise(), t / 2, model.condition(**inputs())) - reference).abs().max() > 1e-4


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_chunk_equals_its_padded_form(length):
    model, given = randomised(OURS), inputs(actions=length)
    padded = torch.cat([given["chunk"], torch.zeros(6, 5 - length, 3)], dim=1)
    lengths = torch.full((6,), length)
    short = model.condition(**given)
    long = model.condition(**{**given, "chunk": padded}, lengths=lengths)
    torch.testing.assert_close(short.tokens, long.tokens, atol=1e-6, rtol=0)
    torch.testing.assert_close(short.proprio_delta, long.proprio_delta, atol=1e-6, rtol=0)


def test_mixed_lengths_equal_torch_packing():
    encoder = ActionEncoder(3, 32)
    chunk, lengths = inputs()["chunk"], torch.tensor([5, 1, 3, 2, 4, 5])
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        encoder.per_frame_mlp(chunk), lengths, batch_first=True, enforce_sorted=False
    )
    torch.testing.assert_close(encoder(chunk, lengths), encoder.gru(packed)[1][0], atol=1e-6, rtol=0)


def test_values_behind_the_length_do_not_count():
    model, given, lengths = randomised(OURS), inputs(), torch.tensor([5, 1, 3, 2, 4, 5])
    dirty = given["chunk"].clone()
    for row, length in enumerate(lengths):
        dirty[row, length:] = 0.9
    clean = model.condition(**given, lengths=lengths).action
    assert torch.equal(model.condition(**{**given, "chunk": dirty}, lengths=lengths).action, clean)


def test_robots_have_their_own_encoders_and_unknown_ones_a_zero_vector():
    model = randomised(replace(SMALL, robots={"0": 3, "2": 3}))
    chunk, robots = inputs()["chunk"], torch.tensor([0, 2, -1, 5, 2, 0])
    encode = model.qpos_encoders.encode
    vectors = encode(chunk, None, robots)
    first, second = encode(chunk), encode(chunk, None, torch.full((6,), 2))
    torch.testing.assert_close(vectors[[0, 5]], first[[0, 5]], atol=1e-6, rtol=0)
    torch.testing.assert_close(vectors[[1, 4]], second[[1, 4]], atol=1e-6, rtol=0)
    assert torch.equal(vectors[[2, 3]], torch.zeros(2, 32))
    assert (first - second).abs().max() > 1e-3


def test_released_chunks_are_cut_and_filled():
    model = randomised(SMALL)
    encode, chunk = model.qpos_encoders.encode, inputs()["chunk"]
    long = torch.cat([chunk, torch.ones(6, 4, 3)], dim=1)
    assert torch.equal(encode(long), encode(chunk))
    assert torch.equal(encode(torch.cat([chunk, torch.ones(6, 5, 2)], dim=2)), encode(chunk))
    filled = torch.cat([chunk[..., :2], torch.zeros(6, 5, 1)], dim=2)
    assert torch.equal(encode(chunk[..., :2]), encode(filled))


def test_repeated_conditioning_equals_copied_rows():
    model = randomised(OURS)
    c, t = model.condition(**inputs()), torch.rand(18, generator=generator(5))
    x = noise(18)
    copied = model.condition(**{name: tensor.repeat_interleave(3, 0) for name, tensor in inputs().items()})
    repeated = c.repeat(3)
    assert len(repeated) == 18
    expected = model.velocity(x, t, copied)
    torch.testing.assert_close(model.velocity(x, t, repeated), expected, atol=1e-5, rtol=0)


def test_rows_are_independent():
    model = randomised(OURS)
    c, t = model.condition(**inputs()), torch.tensor([0.5])
    half = model.condition(**{name: tensor[2:4] for name, tensor in inputs().items()})
    assert len(half) == 2
    alone = model.velocity(noise()[2:4], t, half)
    torch.testing.assert_close(alone, model.velocity(noise(), t, c)[2:4], atol=1e-5, rtol=0)


def test_latent_prediction_reaches_the_predicted_latent():
    """A network that always outputs the latent b is sampled to b, from any noise."""
    model = FlowWorldModel(replace(OURS, prediction="latent"), generator())
    model.flow_out_proj.bias.copy_(torch.arange(6.0))
    x = model.sample(model.condition(**inputs()), noise(), 10)
    torch.testing.assert_close(x, torch.arange(6.0).expand(6, 4, 6), atol=1e-4, rtol=0)


def test_wrong_input_is_named():
    model, given = FlowWorldModel(OURS, generator()), inputs()
    c = model.condition(**given)
    with pytest.raises(ValueError, match=r"tokens has shape \(6, 9, 11\), expected \(batch, patches, 12\)"):
        model.condition(**{**given, "tokens": given["tokens"][..., :11]})
    with pytest.raises(ValueError, match="tokens has 8 patches"):
        model.condition(**{**given, "tokens": given["tokens"][:, :8]})
    with pytest.raises(ValueError, match=r"chunk has shape \(5, 5, 3\), expected \(6, actions, action size\)"):
        model.condition(**{**given, "chunk": given["chunk"][:5]})
    with pytest.raises(ValueError, match=r"chunk has shape \(6, 5, 2\), expected \(batch, actions, 3\)"):
        model.condition(**{**given, "chunk": given["chunk"][..., :2]})
    with pytest.raises(ValueError, match="chunk has 6 actions, expected 1 to max_horizon = 5"):
        model.condition(**{**given, "chunk": torch.zeros(6, 6, 3)})
    with pytest.raises(ValueError, match="lengths run from 0 to 5, expected 1 to 5"):
        model.condition(**given, lengths=torch.tensor([0, 1, 2, 3, 4, 5]))
    with pytest.raises(ValueError, match=r"pass proprio of shape \(6, 2\)"):
        model.condition(**without_proprio(**given))
    with pytest.raises(ValueError, match="built with proprio_size=0"):
        FlowWorldModel(SMALL, generator()).condition(**given)
    with pytest.raises(ValueError, match=r"x has shape \(5, 4, 6\), expected \(6, 4, 6\)"):
        model.velocity(noise(5), torch.tensor([0.5]), c)
    with pytest.raises(ValueError, match=r"t has shape \(2,\), expected \(6,\) or \(1,\)"):
        model.velocity(noise(), torch.rand(2), c)
    with pytest.raises(ValueError, match="prediction is 'noise', expected one of velocity, latent"):
        FlowWorldModel(replace(OURS, prediction="noise"))


@pytest.mark.parametrize("prediction", ["velocity", "latent"])
def test_overfits_a_few_samples(prediction):
    model, given, z = FlowWorldModel(replace(OURS, prediction=prediction), generator()), inputs(8), noise(8)
    target_delta = torch.randn(8, 2, generator=generator(6))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    draws = generator(8)
    with torch.enable_grad():
        for _ in range(200):
            eps = torch.randn(32, 4, 6, generator=draws)
            # Times near zero ask for the noise in almost clean latents, which a few seconds do not teach.
            t = 0.3 + 0.7 * torch.rand(32, generator=draws)
            repeated = z.repeat_interleave(4, 0)
            c = model.condition(**given)
            velocity, delta = model.velocity(interpolate(repeated, eps, t), t, c.repeat(4)), model.proprio_delta(c)
            loss = flow_loss(velocity, target_velocity(repeated, eps)) + flow_loss(delta, target_delta)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    c = model.condition(**given)
    sampled = model.sample(c, noise(8).flip(0), 3)
    assert (sampled - z).square().mean() < z.square().mean() / 4
    assert (model.proprio_delta(c) - target_delta).square().mean() < target_delta.square().mean() / 4


def test_bfloat16_autocast_stays_close_and_returns_float32():
    model, t = randomised(OURS), torch.tensor([0.5])
    exact = model.condition(**inputs())
    with torch.autocast("cpu", torch.bfloat16):
        c = model.condition(**inputs())
        velocity = model.velocity(noise(), t, c)
    assert velocity.dtype == c.tokens.dtype == model.proprio_delta(c).dtype == torch.float32
    reference = model.velocity(noise(), t, exact)
    assert 0 < (velocity - reference).abs().mean() < 0.03 * reference.abs().mean()
