"""From conditioning and noise to the next tokens: the one place where flow and autoencoder meet."""

from __future__ import annotations

from torch import Tensor

from rla_gym.models.autoencoder import RLAAutoencoder
from rla_gym.models.conditioning import Conditioning
from rla_gym.models.world_model import FlowWorldModel


def next_tokens(
    flow: FlowWorldModel,
    autoencoder: RLAAutoencoder,
    conditioning: Conditioning,
    tokens: Tensor,
    noise: Tensor | None,
    steps: int,
    midpoint: bool = False,
) -> Tensor:
    """Tokens after the chunk, (B·n, L, C) float32.

    With an anchor (ours) the central sample is the regressed change itself, which no bottleneck blurs, and a latent
    adds what it decodes to beyond the anchor. Without, tokens are what the latent decodes to, as in the paper.

    Args:
        conditioning: of `FlowWorldModel.condition`, n draws of each of the B rows.
        tokens: present tokens (B·n, L, C) float32.
        noise: (B·n, N, D) float32, times the temperature; None: the central sample.
        steps, midpoint: of `FlowWorldModel.sample`; with an anchor the central sample evaluates no flow.

    Raises:
        ValueError: shapes that do not fit each other or the models, or noise for a central conditioning.
    """
    if conditioning.change is None:
        if noise is None:
            config = flow.config
            noise = tokens.new_zeros(len(tokens), config.latent_tokens, config.latent_channels)
        return autoencoder.decode(flow.from_flow(flow.sample(conditioning, noise, steps, midpoint)), tokens)
    draws = conditioning.draws
    regressed = tokens + conditioning.change.repeat_interleave(draws, dim=0)
    if noise is None:
        return regressed
    if conditioning.anchor is None:
        raise ValueError("noise is given for a conditioning of central=True: condition without it where noise is drawn")
    sampled = autoencoder.decode(flow.from_flow(flow.sample(conditioning, noise, steps, midpoint)), tokens)
    # The anchors of several draws are one.
    anchored = autoencoder.decode(flow.from_flow(conditioning.anchor), tokens[::draws])
    return regressed + sampled - anchored.repeat_interleave(draws, dim=0)
