"""Next tokens from flow and autoencoder, with an anchor and without."""

from __future__ import annotations

import pytest
import torch

from rla_gym.models.autoencoder import RLAAutoencoder
from rla_gym.models.prediction import next_tokens
from tests.models.flows import OURS, anchored, generator, inputs, noise, randomised
from tests.models.test_autoencoder import LINEAR, with_components
from tests.models.test_autoencoder import OURS as PLAIN


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


def shaken(model: RLAAutoencoder) -> RLAAutoencoder:
    """A decoder that says something of its own."""
    torch.nn.init.xavier_uniform_(model.decoder.out_layer.weight, generator=generator(11))
    return model


def test_without_an_anchor_tokens_are_what_the_latent_decodes_to():
    flow, autoencoder = randomised(OURS), shaken(RLAAutoencoder(PLAIN, generator()))
    tokens, c = inputs()["tokens"], flow.condition(**inputs())
    latent = flow.from_flow(flow.sample(c, noise(), 3))
    assert torch.equal(next_tokens(flow, autoencoder, c, tokens, noise(), 3), autoencoder.decode(latent, tokens))
    zero = next_tokens(flow, autoencoder, c, tokens, torch.zeros(6, 4, 6), 3)
    assert torch.equal(next_tokens(flow, autoencoder, c, tokens, None, 3), zero)


def test_the_central_sample_of_an_anchored_flow_is_the_regression():
    flow, autoencoder = anchored(), shaken(with_components(LINEAR))
    tokens, c = inputs()["tokens"], flow.condition(**inputs())
    assert torch.equal(next_tokens(flow, autoencoder, c, tokens, None, 4), tokens + c.change)


def test_a_central_conditioning_takes_no_noise():
    flow, autoencoder = anchored(), shaken(with_components(LINEAR))
    tokens, c = inputs()["tokens"], flow.condition(**inputs(), central=True)
    assert torch.equal(next_tokens(flow, autoencoder, c, tokens, None, 4), tokens + c.change)
    with pytest.raises(ValueError, match="central=True: condition without it"):
        next_tokens(flow, autoencoder, c, tokens, noise(), 4)


def test_samples_add_what_their_latents_say_beyond_the_anchor():
    flow, autoencoder = anchored(), shaken(with_components(LINEAR))
    tokens, c = inputs()["tokens"], flow.condition(**inputs())
    found = next_tokens(flow, autoencoder, c, tokens, noise(), 4, midpoint=True)
    latent = flow.from_flow(flow.sample(c, noise(), 4, midpoint=True))
    beyond = autoencoder.decode(latent, tokens) - autoencoder.decode(flow.from_flow(c.anchor), tokens)
    torch.testing.assert_close(found, tokens + c.change + beyond, atol=1e-5, rtol=0)
    assert (found - tokens - c.change).abs().max() > 0.01


def test_draws_of_one_row_are_those_of_copied_rows():
    flow, autoencoder = anchored(), shaken(with_components(LINEAR))
    tokens, c = inputs()["tokens"], flow.condition(**inputs())
    drawn = noise(18)
    together = next_tokens(flow, autoencoder, c.repeat(3), tokens.repeat_interleave(3, 0), drawn, 2)
    copied = flow.condition(**{name: tensor.repeat_interleave(3, 0) for name, tensor in inputs().items()})
    apart = next_tokens(flow, autoencoder, copied, tokens.repeat_interleave(3, 0), drawn, 2)
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=0)
