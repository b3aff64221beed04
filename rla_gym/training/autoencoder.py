"""Trains the autoencoder of residual latent actions (paper section 3)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rla_gym.data.sampling import sample_chunks, sample_pairs
from rla_gym.data.tokens import TokenStore
from rla_gym.models.autoencoder import RLAAutoencoder, RLAConfig, autoencoder_loss
from rla_gym.training.batches import (
    check_moves,
    device_of,
    exact,
    held_out,
    keyed_generators,
    origin,
    weights_hash,
    without_gradients,
)
from rla_gym.training.metrics import cosine, moving_patches, persistence_ratio, r2
from rla_gym.training.principal import principal_directions

COMPONENT_PAIRS = 8192
"""Pairs that principal components are measured on, several for each number of a flattened frame of the tiny preset."""


class AutoencoderTraining:
    """A `Trainable`: pairs of frames with uniform horizon, patch-weighted L1 + MSE on the later tokens.

    Args:
        store: tokens of the episodes; only training episodes are trained on.
        config: of the autoencoder; its weights start from `seed`.
        batch_size: pairs of one process in one step.
        max_horizon, min_horizon: frames between the two of a pair.
        moving_weight: weight of patches that move (`autoencoder_loss`); 1 is the release's plain mean.
        moving_quantile: share of patches that count as still.
        moving_share: share of first frames drawn from the half of the frames with the most motion.
        feedback: share of each batch in which the present tokens are not the true s_t but their reconstruction
            dec(enc(s_t - s_u), s_u) from an earlier frame u (ours, without gradient; 0 in the release). A dream feeds
            decoded tokens back, and so the decoder learns to correct what it adds itself.
        chunk: a horizon to measure at besides `max_horizon`: the chunk length of the world model to come.
        held_out_pairs: pairs measured at each horizon.
        start: weights to go on from (a state dict of `RLAAutoencoder`); None: new ones from `seed`.
        freeze_encoder: train the decoder alone. Latents then stay what they are, so a world model that is being
            trained on them can take the better decoder later.
    """

    def __init__(
        self,
        store: TokenStore,
        config: RLAConfig,
        batch_size: int,
        seed: int,
        max_horizon: int,
        min_horizon: int = 1,
        moving_weight: float = 4.0,
        moving_quantile: float = 0.75,
        moving_share: float = 0.0,
        feedback: float = 0.0,
        chunk: int = 4,
        held_out_pairs: int = 256,
        start: dict[str, Tensor] | None = None,
        freeze_encoder: bool = False,
    ) -> None:
        if not 0.0 <= feedback <= 1.0 or not 0.0 <= moving_share <= 1.0:
            raise ValueError(f"feedback={feedback} and moving_share={moving_share} are shares: expected 0 to 1")
        self.store, self.config, self.batch_size, self.seed = store, config, batch_size, seed
        self.max_horizon, self.min_horizon = max_horizon, min_horizon
        self.moving_weight, self.moving_quantile, self.moving_share = (
            moving_weight,
            moving_quantile,
            moving_share,
        )
        self.feedback, self.chunk, self.held_out_pairs = feedback, chunk, held_out_pairs
        held_out(store, max(chunk, max_horizon) + 1)  # an error now, not when it is measured first
        self.episodes = store.split("train")
        check_moves(store, self.episodes)
        self.model = RLAAutoencoder(config, torch.Generator().manual_seed(seed))
        if start is not None:
            self.model.load_state_dict(start)
        elif config.linear_path:
            self.measure_components()
        self.freeze_encoder, self.start = freeze_encoder, None if start is None else weights_hash(self.model)
        if freeze_encoder and self.model.encoder is not None:
            self.model.encoder.requires_grad_(False)

    def modules(self) -> dict[str, nn.Module]:
        return {"autoencoder": self.model}

    def measure_components(self) -> None:
        """Sets the linear path's principal components from training pairs drawn as in training.

        Raises:
            ValueError: latents of more numbers than a frame of tokens has.
        """
        generator, noises = keyed_generators("autoencoder components", self.seed)
        rows, later, _ = sample_pairs(
            self.store, self.episodes, COMPONENT_PAIRS, generator, self.max_horizon, self.min_horizon, self.moving_share
        )
        directions = self.model.components
        residuals = torch.empty(COMPONENT_PAIRS, directions.shape[1])
        for here in np.array_split(np.arange(COMPONENT_PAIRS), COMPONENT_PAIRS // 256):
            residuals[torch.from_numpy(here)] = self.store.residuals(rows[here], later[here]).flatten(1)
        directions.copy_(principal_directions(residuals, len(directions), noises))

    def describe(self) -> dict[str, Any]:
        return {
            "model": asdict(self.config),
            "data": origin(self.store),
            "horizons": [self.min_horizon, self.max_horizon],
            "moving": [self.moving_weight, self.moving_quantile, self.moving_share],
            "feedback": self.feedback,
            "start": self.start,
            "freeze_encoder": self.freeze_encoder,
        }

    def batch(self, step: int, rank: int) -> dict[str, Tensor]:
        """`tokens` and `next_tokens` (B, L, C), `rows` (B, 2), and `earlier` (n, L, C) for the first n, fed back."""
        generator, _ = keyed_generators("autoencoder", self.seed, step, rank)
        rows, later, _ = sample_pairs(
            self.store,
            self.episodes,
            self.batch_size,
            generator,
            self.max_horizon,
            self.min_horizon,
            self.moving_share,
        )
        fed_back = round(self.feedback * self.batch_size)
        start = self.store.starts[self.store.episode_of(rows[:fed_back])]
        back = generator.integers(1, self.max_horizon, size=fed_back, endpoint=True)
        # At an episode's start u = t: the reconstruction of "nothing moved", which a dream must reproduce as well.
        earlier = np.maximum(rows[:fed_back] - back, start)
        tokens = self.store.normalized(np.concatenate([rows, later, earlier]))
        size = self.batch_size
        return {
            "tokens": tokens[:size],
            "next_tokens": tokens[size : 2 * size],
            "earlier": tokens[2 * size :],
            "rows": torch.from_numpy(np.stack([rows, later], axis=1)),
        }

    def loss(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Any]]:
        tokens, next_tokens, earlier = batch["tokens"], batch["next_tokens"], batch["earlier"]
        if len(earlier):
            with without_gradients(tokens.device):
                true = tokens[: len(earlier)]
                reconstructed, _ = self.model(earlier, true)
            tokens = torch.cat([reconstructed.float(), tokens[len(earlier) :]])
        predicted, z = self.model(tokens, next_tokens)
        loss = autoencoder_loss(
            predicted,
            tokens,
            next_tokens,
            moving_weight=self.moving_weight,
            moving_quantile=self.moving_quantile,
        )
        with torch.no_grad():
            still = (tokens - next_tokens).abs().mean()
            ratio = (predicted.float() - next_tokens).abs().mean() / still.clamp(min=1e-12)
        return loss, {"ratio": ratio, "latent_abs": z.detach().abs().mean()}

    def evaluate(self, step: int) -> dict[str, float]:
        """R² and cosine of the residual on moving and on all patches, and L1 over that of persistence, at two horizons.

        `_r2_moving_shuffled` is measured with the latents of other pairs: a decoder that ignores the latent reaches it
        too, by erasing what is about to move. Only what lies above it was told by the latent action.
        """
        metrics: dict[str, float] = {}
        for horizon in sorted({self.chunk, self.max_horizon}):
            episodes, prefix = held_out(self.store, horizon + 1)
            generator, _ = keyed_generators("autoencoder held out", horizon)
            rows = sample_chunks(self.store, episodes, self.held_out_pairs, generator, horizon)
            tokens, next_tokens = self.store.normalized(rows), self.store.normalized(rows + horizon)
            predicted = self.reconstruct(tokens, next_tokens)
            true = next_tokens - tokens
            moving = moving_patches(true)
            name = f"{prefix}h{horizon}"
            metrics[f"{name}_r2_moving"] = r2((predicted - tokens)[moving], true[moving])
            shuffled = self.reconstruct(tokens, next_tokens, shuffled=True)
            metrics[f"{name}_r2_moving_shuffled"] = r2((shuffled - tokens)[moving], true[moving])
            metrics[f"{name}_r2"] = r2(predicted - tokens, true)
            metrics[f"{name}_cosine_moving"] = cosine((predicted - tokens)[moving], true[moving])
            metrics[f"{name}_cosine"] = cosine(predicted - tokens, true)
            metrics[f"{name}_ratio_moving"] = persistence_ratio(predicted, tokens, next_tokens, moving)
            metrics[f"{name}_ratio"] = persistence_ratio(predicted, tokens, next_tokens)
        return metrics

    def reconstruct(self, tokens: Tensor, next_tokens: Tensor, shuffled: bool = False, size: int = 64) -> Tensor:
        """`next_tokens` (B, L, C) through the latent action, in pieces of `size`; float32 on the CPU.

        With `shuffled`, each through the latent of the pair half a batch further on.
        """
        model, device = self.model, device_of(self.model)
        with exact(device):
            residuals = (next_tokens - tokens).split(size)
            z = torch.cat([model.encode(residual.to(device)) for residual in residuals])
            if shuffled:
                z = z.roll(len(z) // 2, dims=0)
            pieces = zip(z.split(size), tokens.split(size), strict=True)
            return torch.cat([model.decode(latent, piece.to(device)).cpu() for latent, piece in pieces])
