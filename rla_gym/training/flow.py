"""Trains the flow world model on the latents of a frozen autoencoder (paper section 4)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rla_gym.data.sampling import chunk_actions, sample_chunks, sample_pairs
from rla_gym.data.tokens import TokenStore
from rla_gym.models.autoencoder import RLAAutoencoder, autoencoder_loss
from rla_gym.models.flow import flow_loss, interpolate, sample_times, target_velocity
from rla_gym.models.flow_config import FlowConfig
from rla_gym.models.prediction import next_tokens
from rla_gym.models.world_model import FlowWorldModel
from rla_gym.training.batches import (
    check_moves,
    device_of,
    exact,
    frozen,
    keyed_generators,
    origin,
    standardized_proprio,
    weights_hash,
    without_gradients,
)
from rla_gym.training.flow_metrics import FlowMetrics, dream_chunk

STATISTICS_PAIRS = 4096


class FlowTraining:
    """A `Trainable`: chunks of 1 to K actions, the flow-matching loss on the latent between their ends.

    Args:
        store: tokens and actions of the episodes; only training episodes are trained on.
        autoencoder: trained; it is frozen in place and moved to the device of the training.
        config: of the world model; its weights start from `seed`. Latent statistics are measured on 4,096 training
            pairs, one scale for each number and a mean with `per_dimension_scale`, else one scale, and kept in the
            model's buffers.
        batch_size: samples of one process in one step.
        chunk: K, the longest chunk.
        draws: (noise, time) draws of each sample; all share its conditioning.
        full_share: share of each batch with chunks of exactly K; the others are uniform in 1..K.
        end_share: share of draws at t = 1 exactly (`sample_times`).
        zero_noise: share of those whose noise is zero (ours). At t = 1 the best velocity is noise - E[z] whatever the
            noise, but zero, from which dreams of temperature 0 start unless there is an anchor, is not met otherwise.
        proprio_weight: weight of the squared error of the predicted change of standardised proprioception.
        feedback: share of each batch in which the present tokens (and proprioception) are the model's own dream of
            the `feedback_rounds` chunks of K actions before (ours, without gradient; 0 in the release); the target is
            then the latent from those tokens to the true later ones.
        feedback_steps: Euler steps of these dreams.
        feedback_temperature: factor of their noise.
        moving_share: share of first frames drawn from the half of the frames with the most motion.
        held_out_chunks: starts that held-out metrics are measured from.
        decoded_weight: weight of the decoded loss (ours; 0 in the release): the tokens of the central sample of every
            conditioning are compared with the true later tokens. That sample is one Euler step from zero noise, through
            the frozen autoencoder's decoder; with an anchor it is the regressed tokens, which learn from this loss and
            from nothing of the flow's. The velocity loss counts all latent numbers alike; this one counts what they do
            to the tokens.
        moving_weight: weight of moving patches in it.
        start: weights to go on from (a state dict of `FlowWorldModel`), latent statistics included; None: new ones.

    Raises:
        ValueError: a chunk or share out of its range; an anchor without components to be in, without the loss that
            it learns from, or, in `start`, of another autoencoder.
    """

    def __init__(
        self,
        store: TokenStore,
        autoencoder: RLAAutoencoder,
        config: FlowConfig,
        batch_size: int,
        seed: int,
        chunk: int,
        draws: int = 4,
        full_share: float = 0.5,
        end_share: float = 0.0,
        zero_noise: float = 0.5,
        proprio_weight: float = 1.0,
        feedback: float = 0.0,
        feedback_rounds: int = 1,
        feedback_steps: int = 1,
        feedback_temperature: float = 1.0,
        moving_share: float = 0.0,
        held_out_chunks: int = 128,
        decoded_weight: float = 0.0,
        moving_weight: float = 4.0,
        start: dict[str, Tensor] | None = None,
    ) -> None:
        if not 1 <= chunk <= config.max_horizon:
            raise ValueError(f"chunk={chunk}: expected 1 to the model's max_horizon={config.max_horizon}")
        if config.anchor and not (autoencoder.config.linear_path and decoded_weight > 0):
            raise ValueError(
                f"anchor=True with linear_path={autoencoder.config.linear_path} and decoded_weight={decoded_weight}: "
                "the anchor is in the components of an autoencoder with linear_path=True, and what it regresses learns "
                "from the decoded loss alone, whose weight must be above 0"
            )
        for name, share in (("full_share", full_share), ("feedback", feedback), ("zero_noise", zero_noise)):
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"{name}={share} is a share: expected 0 to 1")
        self.store, self.config, self.batch_size, self.seed, self.chunk = (
            store,
            config,
            batch_size,
            seed,
            chunk,
        )
        self.draws, self.end_share, self.zero_noise = draws, end_share, zero_noise
        self.proprio_weight, self.moving_share = proprio_weight, moving_share
        self.feedback_rounds, self.feedback_steps = feedback_rounds, feedback_steps
        self.feedback_temperature = feedback_temperature
        self.fed_back = round(feedback * batch_size)
        self.full = round(full_share * (batch_size - self.fed_back))
        self.options = {
            "chunk": chunk, "draws": draws, "full_share": full_share, "end_share": end_share, "zero_noise": zero_noise,
            "proprio_weight": proprio_weight, "moving_share": moving_share, "feedback": feedback,
            "feedback_rounds": feedback_rounds, "feedback_steps": feedback_steps,
            "feedback_temperature": feedback_temperature, "decoded_weight": decoded_weight,
            "moving_weight": moving_weight,
        }  # fmt: skip
        self.episodes = store.split("train")
        check_moves(store, self.episodes)
        self.proprio = standardized_proprio(store)
        self.autoencoder = autoencoder
        frozen(autoencoder)
        self.model = FlowWorldModel(config, torch.Generator().manual_seed(seed))
        self.decoded_weight, self.moving_weight = decoded_weight, moving_weight
        if start is None:
            self.measure_latents()
        else:
            self.model.load_state_dict(start)
            if config.anchor and not torch.equal(self.model.components, autoencoder.components.cpu()):
                raise ValueError(
                    "the flow to go on from was anchored in the components of another autoencoder than this one: give "
                    "a flow that was trained on it, or train a new one"
                )
        self.start = None if start is None else weights_hash(self.model)
        self.metrics = FlowMetrics(store, self.proprio, chunk, held_out_chunks)

    def modules(self) -> dict[str, nn.Module]:
        return {"flow": self.model}

    def describe(self) -> dict[str, Any]:
        return {
            "model": asdict(self.config),
            "data": origin(self.store),
            "autoencoder": {
                "config": asdict(self.autoencoder.config),
                "weights": weights_hash(self.autoencoder),
            },
            "options": self.options,
            "start": self.start,
        }

    def measure_latents(self) -> None:
        """Sets the model's latent statistics from training pairs drawn as in training, shorter chunks a little more."""
        if self.config.anchor:
            self.model.components.copy_(self.autoencoder.components)
        generator, _ = keyed_generators("flow latent statistics", self.seed)
        rows, lengths = self._rows(generator, STATISTICS_PAIRS, round(STATISTICS_PAIRS * self.full / self.batch_size))
        device = device_of(self.autoencoder)
        pieces = []
        with exact(device):
            for here in np.array_split(np.arange(len(rows)), max(1, len(rows) // 64)):
                residual = self.store.residuals(rows[here], rows[here] + lengths[here])
                pieces.append(self.autoencoder.encode(residual.to(device)).cpu())
        z = torch.cat(pieces)
        if not self.config.per_dimension_scale:
            self.model.set_latent_statistics(z.square().mean().sqrt())
            return
        scale = z.std(dim=0)
        # A latent number that hardly varies carries nothing, and must not be blown up to noise of unit size.
        self.model.set_latent_statistics(scale.clamp(min=0.01 * float(scale.square().mean().sqrt())), z.mean(dim=0))

    def batch(self, step: int, rank: int) -> dict[str, Tensor]:
        """Tokens at both ends, chunks, proprioception, noise and times; for the first n samples the chunks before."""
        generator, noises = keyed_generators("flow", self.seed, step, rank)
        n, rounds, size = self.fed_back, self.feedback_rounds, self.batch_size
        rows, lengths = self._rows(generator, size - n, self.full)
        earlier = np.zeros(0, np.int64)
        if n:
            earlier = sample_chunks(self.store, self.episodes, n, generator, self.chunk, rounds + 1, self.moving_share)
            short = generator.integers(1, self.chunk, size=n, endpoint=True)
            share = self.full / max(1, size - n)
            now = np.where(generator.random(n) < share, self.chunk, short)
            rows = np.concatenate([earlier + rounds * self.chunk, rows])
            lengths = np.concatenate([now, lengths])
        tokens = self.store.normalized(np.concatenate([rows, rows + lengths, earlier]))
        latent = (self.config.latent_tokens, self.config.latent_channels)
        times = sample_times(size * self.draws, noises, end_share=self.end_share)
        noise = torch.randn(size * self.draws, *latent, generator=noises)
        silent = (times == 1.0) & (torch.rand(len(times), generator=noises) < self.zero_noise)
        batch = {
            "tokens": tokens[:size],
            "next_tokens": tokens[size : 2 * size],
            "earlier_tokens": tokens[2 * size :],
            "chunks": torch.from_numpy(chunk_actions(self.store, rows, self.chunk, lengths)),
            "lengths": torch.from_numpy(lengths),
            "times": times,
            "noise": noise * ~silent[:, None, None],
            "earlier_noise": self.feedback_temperature * torch.randn(rounds, n, *latent, generator=noises),
            "proprio": self.proprio[rows],
            "next_proprio": self.proprio[rows + lengths],
            "earlier_proprio": self.proprio[earlier],
            "rows": torch.from_numpy(np.stack([rows, rows + lengths], axis=1)),
        }
        if n:
            chunks = [chunk_actions(self.store, earlier + i * self.chunk, self.chunk) for i in range(rounds)]
            batch["earlier_chunks"] = torch.from_numpy(np.stack(chunks))
        return batch

    def loss(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Any]]:
        tokens, proprio = batch["tokens"], batch["proprio"]
        self.autoencoder.to(tokens.device)
        if self.fed_back:
            dreamed, felt = self._dream(batch)
            tokens = torch.cat([dreamed, tokens[self.fed_back :]])
            proprio = torch.cat([felt, proprio[self.fed_back :]])
        with exact(tokens.device):
            z = self.model.to_flow(self.autoencoder.encode(batch["next_tokens"] - tokens))
            z = z.repeat_interleave(self.draws, dim=0)
            noised = interpolate(z, batch["noise"], batch["times"], self.config.sigma_min)
            target = target_velocity(z, batch["noise"], self.config.sigma_min)
        given = proprio if self.config.proprio_size else None
        conditioning = self.model.condition(tokens, batch["chunks"], batch["lengths"], given)
        velocity = self.model.velocity(noised, batch["times"], conditioning.repeat(self.draws))
        loss = flow_loss(velocity, target)
        parts: dict[str, Any] = {"flow": loss.detach()}
        if self.decoded_weight:
            decoded = next_tokens(self.model, self.autoencoder, conditioning, tokens, None, 1)
            off = autoencoder_loss(decoded, tokens, batch["next_tokens"], moving_weight=self.moving_weight)
            loss = loss + self.decoded_weight * off
            parts["decoded"] = off.detach()
        if self.config.proprio_size:
            error = F.mse_loss(self.model.proprio_delta(conditioning).float(), batch["next_proprio"] - proprio)
            loss = loss + self.proprio_weight * error
            parts["proprio"] = error.detach()
        return loss, parts

    def evaluate(self, step: int) -> dict[str, float]:
        """See `FlowMetrics`."""
        self.autoencoder.to(device_of(self.model))
        return self.metrics.measure(self.model, self.autoencoder)

    def _rows(self, generator: np.random.Generator, batch: int, full: int) -> tuple[np.ndarray, np.ndarray]:
        """First rows and lengths of `batch` chunks, the first `full` of them of exactly K actions."""
        store, share = self.store, self.moving_share
        whole = sample_chunks(store, self.episodes, full, generator, self.chunk, moving_share=share)
        others, _, lengths = sample_pairs(store, self.episodes, batch - full, generator, self.chunk, moving_share=share)
        return np.concatenate([whole, others]), np.concatenate([np.full(full, self.chunk), lengths])

    def _dream(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The model's own tokens and proprioception after the earlier chunks, with its present weights."""
        tokens, proprio = batch["earlier_tokens"], batch["earlier_proprio"]
        with without_gradients(tokens.device):
            for chunk, drawn in zip(batch["earlier_chunks"], batch["earlier_noise"], strict=True):
                noise = drawn if self.feedback_temperature else None
                tokens, proprio = dream_chunk(
                    self.model, self.autoencoder, tokens, chunk, proprio, noise, self.feedback_steps
                )
        return tokens.float(), proprio.float()
