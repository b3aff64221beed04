"""Flows that start from regressed tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rla_gym.models.world_model import FlowWorldModel
from tests.models.flows import ANCHORED, OURS, anchored, generator, inputs, noise, randomised


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


def test_the_anchor_is_the_linear_latent_of_the_regressed_change():
    model = anchored()
    c = model.condition(**inputs())
    assert c.change.shape == (6, 9, 12) and c.anchor.shape == (6, 4, 6)
    latent = (c.change.flatten(1) @ model.components.T).view(6, 4, 6)
    torch.testing.assert_close(model.from_flow(c.anchor), latent, atol=1e-5, rtol=0)
    assert randomised(OURS).condition(**inputs()).anchor is None


def test_a_central_conditioning_has_the_same_change_and_nothing_for_the_flow():
    model = anchored()
    whole, central = model.condition(**inputs()), model.condition(**inputs(), central=True)
    torch.testing.assert_close(central.change, whole.change, atol=0, rtol=0)
    torch.testing.assert_close(central.proprio_delta, whole.proprio_delta, atol=0, rtol=0)
    assert central.anchor is None and central.keys == ()
    assert randomised(OURS).condition(**inputs(), central=True).keys  # without an anchor the flow is evaluated


def test_an_untrained_flow_ends_at_its_anchor():
    """With an output layer of zero, one Euler step from zero noise gives the anchor, for every draw."""
    model = anchored()
    for parameter in model.flow_out_proj.parameters():
        parameter.zero_()
    c = model.condition(**inputs())
    found = model.sample(c.repeat(2), torch.zeros(12, 4, 6), 1)
    torch.testing.assert_close(found, c.anchor.repeat_interleave(2, 0), atol=1e-6, rtol=0)


def test_an_untrained_latent_prediction_ends_at_its_anchor_too():
    model = FlowWorldModel(replace(ANCHORED, prediction="latent"), generator())
    model.components.copy_(torch.linalg.qr(torch.randn(108, 24, generator=generator(8))).Q.T)
    model.change_proj.bias.fill_(0.3)
    c = model.condition(**inputs())
    assert c.anchor.abs().max() > 0.1
    torch.testing.assert_close(model.sample(c, noise(), 10), c.anchor, atol=1e-4, rtol=0)


def test_an_anchor_takes_its_own_grid_alone():
    model = FlowWorldModel(replace(ANCHORED, position_embedding=False), generator())
    with pytest.raises(ValueError, match=r"tokens has shape \(6, 8, 12\), expected \(batch, 9, 12\)"):
        model.condition(**{**inputs(), "tokens": inputs()["tokens"][:, :8]})


def test_the_flow_teaches_the_regression_nothing():
    """Gradients of velocities stop before the stage that regresses; those of the change reach it."""
    model = anchored()
    with torch.enable_grad():
        c = model.condition(**inputs())
        model.velocity(noise(), torch.tensor([0.5]), c).square().mean().backward()
        assert model.cond_blocks[0].attn.in_proj_weight.grad is None and model.change_proj.weight.grad is None
        assert model.flow_blocks[0].cross_attn.in_proj_weight.grad.abs().max() > 0
        assert model.anchor_proj.weight.grad.abs().max() > 0
        c.change.square().mean().backward()
        assert model.cond_blocks[0].attn.in_proj_weight.grad.abs().max() > 0
