"""A bundle on devices and as a copy: one copy a device, whoever asks for it, and copies that are copies."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.store import load_checkpoint

# A device that every machine has: its tensors have shapes and no numbers.
META = "meta"


@pytest.fixture
def fresh(bundle: Bundle) -> Bundle:
    """The bundle without the copies that other tests have made."""
    return replace(bundle)


def test_there_is_one_copy_a_device(fresh: Bundle) -> None:
    moved = fresh.to(META)
    assert moved is not fresh and moved.device.type == META
    assert fresh.to(META) is moved and fresh.to(torch.device(META)) is moved
    assert moved.to(META) is moved and moved.to("cpu") is fresh and fresh.to("cpu") is fresh
    assert moved.flow.latent_mean.device == moved.references.tokens.device == moved.std.device == moved.device
    assert fresh.device.type == fresh.flow.latent_mean.device.type == "cpu"


def test_no_float64_goes_to_a_device(fresh: Bundle) -> None:
    """Apple's mps has none: states, which are float64, stay where the simulator is."""
    moved = fresh.to(META)
    assert fresh.references.states.dtype == torch.float64 and moved.references.states is fresh.references.states
    modules = (moved.autoencoder, moved.flow, moved.features, moved.image_decoder, moved.encoder)
    there = [value for module in modules for value in module.state_dict().values()]
    there += [value for place in (moved, moved.references) for value in vars(place).values() if torch.is_tensor(value)]
    assert {value.dtype for value in there if value.is_meta} <= {torch.float32, torch.float16, torch.int64, torch.bool}
    assert all(value.is_meta for value in there if value is not moved.references.states)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_device_has_one_name(fresh: Bundle) -> None:
    moved = fresh.to("cuda")
    assert moved is fresh.to(torch.device("cuda", torch.cuda.current_device())) is moved.to("cuda")


def test_what_is_replaced_is_moved_anew(fresh: Bundle) -> None:
    moved = fresh.to(META)
    shifted = replace(fresh, std=fresh.std[:5])
    assert shifted.to("cpu") is shifted
    assert shifted.to(META) is not moved and len(shifted.to(META).std) == 5
    longer = replace(moved, std=torch.zeros(3, device=META))
    assert longer.to(META) is longer


def test_the_encoder_goes_along(fresh: Bundle) -> None:
    assert next(fresh.encoder.parameters()).device.type == "cpu"
    assert next(replace(fresh).to(META).encoder.parameters()).device.type == META
    lazy = replace(fresh, _encoder=None)
    assert next(lazy.to(META).encoder.parameters()).device.type == META
    assert next(lazy.encoder.parameters()).device.type == "cpu"


def test_copies_have_weights_of_their_own(checkpoint: Path, bundle: Bundle) -> None:
    shallow, deep = copy.copy(bundle), copy.deepcopy(bundle)
    assert shallow is not bundle and shallow.flow is bundle.flow
    shallow.std = torch.ones(3)
    assert load_checkpoint(checkpoint) is bundle and len(bundle.std) != 3
    weights = {name: value.clone() for name, value in bundle.flow.state_dict().items()}
    for parameter in deep.flow.parameters():
        parameter.data.add_(1.0)
    assert all(torch.equal(value, weights[name]) for name, value in bundle.flow.state_dict().items())
    assert not torch.equal(deep.flow.flow_out_proj.weight, bundle.flow.flow_out_proj.weight)
    both = copy.deepcopy([bundle, bundle])
    assert both[0] is both[1]
