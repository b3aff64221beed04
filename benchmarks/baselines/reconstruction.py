"""RLA reconstruction: what the autoencoder gives back of the truth. Not a model: it knows what comes.

It bounds an RLA-WM whose tokens all come from latents; an anchored one regresses tokens past that bottleneck.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.baselines.interface import State, WorldModel
from rla_gym.models.autoencoder import RLAAutoencoder


class Reconstruction(WorldModel):
    """Decodes the latent of the residual to the tokens that truly come next, from the tokens that it predicted itself.

    Args:
        autoencoder: trained.
        truth: (B, n, L, C) standardised tokens that truly follow after each chunk. Each rollout of these B episodes
            takes them in order, by the number of the step in its memory.
    """

    name = "rla-reconstruction"

    def __init__(self, autoencoder: RLAAutoencoder, truth: Tensor) -> None:
        self.autoencoder, self.truth = autoencoder.eval(), truth

    def step(self, state: State, chunks: Tensor, keys: np.ndarray) -> State:
        """One chunk further towards the truth; a ValueError past its end."""
        done = state.memory.get("done", torch.zeros(len(state.tokens), dtype=torch.long))
        if int(done.max()) >= self.truth.shape[1]:
            raise ValueError(f"the truth was given for {self.truth.shape[1]} chunks, this is one more")
        later = self.truth[torch.arange(len(done)), done.cpu()].to(state.tokens)
        z = self.autoencoder.encode(later - state.tokens)
        return state.moved(self.autoencoder.decode(z, state.tokens), state.proprio, done=done + 1)

    def networks(self) -> dict[str, nn.Module]:
        """The autoencoder."""
        return {"autoencoder": self.autoencoder}
