"""How far to trust a dreamed step: how much samples of it disagree, and how far its start is from what was recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.references import PARTS, References
from rla_gym.models.conditioning import Conditioning
from rla_gym.utils.keyed_rng import keyed_normal, make_keys

UNCERTAINTIES = ("disagreement", "data_distance", "both")
SPACES = ("tokens", "latent")
OTHER_STREAM = np.uint64(2**63)
"""Added to the step of a key: noise of its own beside that of the dream, which never gets that far."""
RIDGE = 1e-3
"""Share of the mean variance added to every variance, so that what never varied does not count for everything."""


@dataclass(frozen=True)
class DisagreementConfig:
    """How samples of a step are drawn and compared.

    Attributes:
        samples: M, at least 2.
        space: "tokens", where the M samples are decoded, or "latent", which is cheaper and says less.
        steps: Euler steps of each sample. With one step all samples fall on the mean and cannot disagree.
    """

    samples: int = 4
    space: str = "tokens"
    steps: int = 2

    def __post_init__(self) -> None:
        if self.samples < 2 or self.steps < 2:
            raise ValueError(
                f"disagreement_samples={self.samples}, {self.steps} Euler steps: expected at least 2 of each"
            )
        if self.space not in SPACES:
            raise ValueError(f"disagreement_space={self.space!r}: expected one of {', '.join(SPACES)}")


class Disagreement:
    """Standard deviation of M samples (temperature 1) of the same step.

    Each step conditions once, as it must anyway, and draws M·B latents; "tokens" decodes them all. Measured on one core
    with the built-in checkpoint, a step of B = 1 takes 9 ms and with M = 4 samples 25 ms, or 17 ms in "latent"; one of
    B = 32 takes 128, 463 and 251 ms. `python -m benchmarks.calibration` measures how well it follows the true error.
    """

    def __init__(self, bundle: Bundle, config: DisagreementConfig) -> None:
        self.config, self.flow, self.autoencoder = config, bundle.flow, bundle.autoencoder

    def __call__(self, conditioning: Conditioning, tokens: Tensor, keys: np.ndarray) -> Tensor:
        """Disagreement (B,) float32: the root of the mean variance, in standard deviations of what is compared.

        In "tokens" that is the unit of the distance "l2". Row i is a function of its own key, tokens and conditioning.

        Args:
            conditioning: of B rows.
            tokens: (B, L, C) standardised, those that it was made of.
            keys: (B, 3) uint64 of `make_keys`, those of the dream's own noise.
        """
        batch, samples, config = len(keys), self.config.samples, self.flow.config
        shape = (samples, config.latent_tokens, config.latent_channels)
        noise = keyed_normal(make_keys(keys[:, 0], keys[:, 1], keys[:, 2] + OTHER_STREAM), shape)
        drawn = torch.from_numpy(noise).to(tokens.device).flatten(0, 1)
        found = self.flow.sample(conditioning.repeat(samples), drawn, self.config.steps)
        if self.config.space == "tokens":
            start = tokens.repeat_interleave(samples, dim=0)
            found = self.autoencoder.decode(self.flow.from_flow(found), start)
        variance = found.float().view(batch, samples, -1).var(dim=1)
        return variance.mean(dim=1).sqrt()


class DataDistance:
    """Mahalanobis distance of a state and a chunk to those that were recorded.

    Compared are the feature map, proprioception and the chunk of actions, with mean and covariance over the reference
    episodes of the training part. The distance is divided by the root of how many numbers are compared: recorded ones
    have about 1. It costs one pass of the feature map a step.

    Args:
        bundle: the checkpoint.
        chunk: K', control steps of a chunk.
        references: what counts as recorded; None: the checkpoint's.

    Raises:
        ValueError: references without actions, or with too few frames.
    """

    def __init__(self, bundle: Bundle, chunk: int, references: References | None = None) -> None:
        self.bundle, self.chunk = bundle, chunk
        episodes = bundle.references if references is None else references
        if episodes.actions.shape[1] != bundle.config.action_size:
            raise ValueError("the references have no actions, which the distance to the data needs: give others")
        kept = torch.nonzero((episodes.parts == PARTS.index("train")) & (episodes.lengths > chunk))[:, 0].tolist()
        values = [self._recorded(episodes, episode) for episode in kept]
        if sum(map(len, values)) < 2:
            raise ValueError(
                f"the references have no {chunk} recorded actions in a row in their training part: the distance to the "
                "data needs some"
            )
        recorded = np.concatenate(values)
        self.mean = recorded.mean(axis=0)
        covariance = np.cov(recorded, rowvar=False)
        size = len(covariance)
        covariance += RIDGE * np.trace(covariance) / size * np.eye(size)
        self.whitening = np.linalg.inv(np.linalg.cholesky(covariance)) / math.sqrt(size)

    def __call__(self, tokens: Tensor, proprio: Tensor, chunks: np.ndarray) -> np.ndarray:
        """Distance (B,) float32, at least 0.

        Args:
            tokens: (B, L, C) standardised, before the step.
            proprio: (B, P) standardised.
            chunks: (B, K', A) in [-1, 1].
        """
        offset = self._values(tokens, proprio, chunks) - self.mean
        # Products one by one: a matrix product of few rows rounds in another way than one of many.
        whitened = (offset[:, None, :] * self.whitening).sum(axis=2)
        distance: np.ndarray = np.sqrt((whitened**2).sum(axis=1)).astype(np.float32)
        return distance

    def _values(self, tokens: Tensor, proprio: Tensor, chunks: np.ndarray) -> np.ndarray:
        features = self.bundle.feature_map(tokens).cpu().numpy()
        parts = (features, proprio.cpu().numpy(), np.asarray(chunks).reshape(len(features), -1))
        values: np.ndarray = np.concatenate(parts, axis=1).astype(np.float64)
        return values

    def _recorded(self, episodes: References, episode: int) -> np.ndarray:
        """Values (n, F + P + K'·A) of all frames of an episode that a whole chunk follows."""
        first, count = int(episodes.starts[episode]), int(episodes.lengths[episode]) - self.chunk
        actions = self.bundle.scale_actions(episodes.actions[first : first + count + self.chunk - 1].cpu().numpy())
        chunks = np.stack([actions[shift : shift + count] for shift in range(self.chunk)], axis=1)
        tokens = self.bundle.standardize(episodes.tokens[first : first + count])
        proprio = self.bundle.standardize_proprio(episodes.proprio[first : first + count])
        return self._values(tokens, proprio, chunks)


def wanted(uncertainty: str | None) -> tuple[str, ...]:
    """Which kinds the option `uncertainty` asks for: none, "disagreement", "data_distance" or both of them.

    Raises:
        ValueError: something else.
    """
    if uncertainty is None:
        return ()
    if uncertainty not in UNCERTAINTIES:
        raise ValueError(f"uncertainty={uncertainty!r}: expected None or one of {', '.join(UNCERTAINTIES)}")
    return ("disagreement", "data_distance") if uncertainty == "both" else (uncertainty,)
