from __future__ import annotations

import pytest
import torch

from rla_gym.models.transformer import Attention, Block, ConditioningBlock, FlowBlock, initialize, sinusoid, waves


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_attention_equals_torch():
    ours, theirs = Attention(32, 4), torch.nn.MultiheadAttention(32, 4, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 7, 32, generator=generator())
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0], atol=1e-5, rtol=0)


def test_cross_attention_of_another_width_equals_torch():
    ours = Attention(32, 4, context_width=24)
    theirs = torch.nn.MultiheadAttention(32, 4, kdim=24, vdim=24, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    x, context = torch.randn(3, 7, 32, generator=generator()), torch.randn(3, 9, 24, generator=generator(1))
    crossed = ours.attend(ours.queries(x), *ours.keys_values(context))
    torch.testing.assert_close(crossed, theirs(x, context, context)[0], atol=1e-5, rtol=0)


def test_kept_tokens_equal_the_full_block():
    block = Block(32, 4, 4.0)
    x = torch.randn(2, 9, 32, generator=generator())
    for kept in (slice(None, 3), slice(3, None)):
        torch.testing.assert_close(block(x, kept), block(x)[:, kept], atol=1e-5, rtol=0)


def test_modulated_blocks_start_as_identity():
    x, vector = torch.randn(2, 9, 32, generator=generator()), torch.randn(2, 32, generator=generator(1))
    block = ConditioningBlock(32, 4, 4.0)
    initialize(block, generator())
    assert torch.equal(block(x, vector), x)


def test_draws_share_keys_like_repeated_keys():
    block = FlowBlock(32, 4, 4.0, 32)
    context, x = torch.randn(2, 9, 32, generator=generator()), torch.randn(6, 5, 32, generator=generator(1))
    time = torch.randn(6, 32, generator=generator(2))
    keys, values = block.cross_attn.keys_values(context)
    repeated = block(x, time, keys.repeat_interleave(3, 0), values.repeat_interleave(3, 0))
    torch.testing.assert_close(block(x, time, keys, values), repeated, atol=1e-5, rtol=0)


def test_sinusoid_is_cosines_then_sines():
    embedding = sinusoid(torch.tensor([0.0, 0.001]), size=8)
    assert torch.equal(embedding[0], torch.tensor([1.0] * 4 + [0.0] * 4))
    expected = torch.tensor([10_000.0 ** (-k / 4) for k in range(4)])
    torch.testing.assert_close(embedding[1], torch.cat([expected.cos(), expected.sin()]))


def test_initialisation_depends_on_its_generator_alone():
    first, second, other = (Block(32, 4, 4.0) for _ in range(3))
    torch.randn(5)
    for block, seed in ((first, 3), (second, 3), (other, 4)):
        initialize(block, generator(seed))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.mlp[0].weight, other.mlp[0].weight)


def test_heads_must_divide_width():
    with pytest.raises(ValueError, match="width 30 is not a multiple of the number of heads 4"):
        Attention(30, 4)


def test_waves_tell_places_apart_that_bare_values_hardly_do():
    x = torch.tensor([[0.5, -1.0]])
    assert torch.equal(waves(x, 0), x)
    found = waves(x, 2)
    quarter = torch.pi / 4
    angles = quarter * x.repeat_interleave(2, 1) * torch.tensor([1.0, 2.0, 1.0, 2.0])
    torch.testing.assert_close(found, torch.cat([x, angles.sin(), angles.cos()], 1))
    near = x + 0.02
    assert (waves(near, 6) - waves(x, 6)).norm() > 10 * (near - x).norm()
