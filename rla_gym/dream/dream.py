"""The dream: B independent episodes of a world model, stepped together. Knows nothing of Gymnasium.

Tokens are fed back: each step starts from the tokens that the step before predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.dream.uncertainty import Disagreement, DisagreementConfig
from rla_gym.models.batch_invariance import WholeBlocks
from rla_gym.models.flow import takes_midpoint
from rla_gym.models.prediction import next_tokens
from rla_gym.utils.checks import Count, NonNegative, checked
from rla_gym.utils.devices import find_device
from rla_gym.utils.keyed_rng import keyed_normal, make_keys
from rla_gym.utils.seeds import seed_words

PRECISIONS = ("float32", "bf16")
BAD_CHUNKS = "chunks hold NaN or infinite values: check the policy"


@dataclass(frozen=True)
class DreamStep:
    """State of B episodes after a step; all on the dream's device, not to be written to."""

    tokens: Tensor
    """(B, L, C) float32, standardised."""
    proprio: Tensor
    """(B, P) float32, standardised."""
    reference: Tensor
    """(B,) int64, the reference episode."""
    frame: Tensor
    """(B,) int64, the reference's frame of the same time; past its last frame it counts on."""
    chunks: Tensor
    """(B,) int64, steps since the episode began."""
    clamped: Tensor
    """(B,) float32, fraction of the values that the last step predicted outside the range of the training data; they
    were put back to its edge. 0 before there was one."""
    disagreement: Tensor | None = None
    """(B,) float32, of samples of the last step, 0 before there was one; None where it is not measured."""


class Dream:
    """A batched state machine over tokens.

    What is predicted is kept within the range of the training data (`rla_gym.checkpoint.data_range`), so that a poor
    model cannot run away with its own predictions.

    Args:
        bundle: a loaded checkpoint.
        batch: B, number of independent episodes.
        steps: evaluations of the flow for a prediction: Euler steps or, where noise is drawn and the number is even,
            the midpoint rule; None: the checkpoint's default.
        temperature: factor of the initial noise, 0 for the central sample; None: the checkpoint's default.
        precision: None or "float32", or "bf16" for autocast to bfloat16.
        device: where the networks run.
        disagreement: tell with each step how much samples of it disagree; None: do not. Changes nothing in the dream.
        batch_invariant: on the CPU in float32, row i depends only on its own seed, episode, start and actions: to the
            last bit neither on B nor, as far as measured, on the number of threads (`rla_gym.models.batch_invariance`).
            It makes a step of B = 1 a quarter longer. Without it, on a GPU and in bf16 that holds up to rounding.

    Raises:
        ValueError: a number out of its range.
    """

    def __init__(
        self,
        bundle: Bundle,
        batch: int,
        steps: int | None = None,
        temperature: float | None = None,
        precision: str | None = None,
        device: str | torch.device = "cpu",
        disagreement: DisagreementConfig | None = None,
        batch_invariant: bool = True,
    ) -> None:
        batch, steps = checked("batch", batch, Count), checked("steps", steps, Count | None)
        temperature = checked("temperature", temperature, NonNegative | None)
        self.steps: int = bundle.config.steps if steps is None else steps
        self.temperature: float = bundle.config.temperature if temperature is None else temperature
        if precision not in (None, *PRECISIONS):
            raise ValueError(f"precision={precision!r}: expected None or one of {', '.join(PRECISIONS)}")
        self._midpoint = takes_midpoint(self.steps, self.temperature)
        self.batch, self.device, self.bf16 = batch, find_device(device), precision == "bf16"
        self.batch_invariant = batch_invariant and self.device.type == "cpu" and not self.bf16
        self.bundle = bundle.to(self.device)
        config, references = self.bundle.config, self.bundle.references
        self.latent_shape = (config.flow.latent_tokens, config.flow.latent_channels)
        self.tokens = torch.zeros(batch, *references.tokens.shape[1:], device=self.device)
        self.proprio = torch.zeros(batch, config.proprio_size, device=self.device)
        self.reference = torch.zeros(batch, dtype=torch.long, device=self.device)
        self.frame = torch.zeros(batch, dtype=torch.long, device=self.device)
        self.chunks = torch.zeros(batch, dtype=torch.long, device=self.device)
        self.clamped = torch.zeros(batch, device=self.device)
        low, high = self.bundle.token_low, self.bundle.token_high
        assert low is not None and high is not None  # every bundle has a range
        self._token_range = self.bundle.standardize(low), self.bundle.standardize(high)
        low, high = self.bundle.proprio_low, self.bundle.proprio_high
        assert low is not None and high is not None
        self._proprio_range = self.bundle.standardize_proprio(low), self.bundle.standardize_proprio(high)
        self.disagreement: Tensor | None = None
        self._disagreement: Disagreement | None = None
        if disagreement is not None:
            self._disagreement = Disagreement(self.bundle, disagreement)
            self.disagreement = torch.zeros(batch, device=self.device)
        self.seeds = np.arange(batch, dtype=np.uint64)
        self.episodes = np.zeros(batch, np.uint64)

    def seed(self, seeds: Sequence[int] | np.ndarray, mask: np.ndarray | None = None) -> None:
        """Give each episode stream its seed (B,) and start counting its episodes anew, where `mask` (B,) is True."""
        chosen = np.ones(self.batch, bool) if mask is None else np.asarray(mask, bool)
        self.seeds[chosen] = seed_words(seeds)[chosen]
        self.episodes[chosen] = 0

    def reset(self, mask: np.ndarray, references: np.ndarray, frames: np.ndarray) -> DreamStep:
        """Begin a new episode where `mask` is True, at a recorded frame of a reference episode.

        Args:
            mask: (B,) bool.
            references, frames: (B,) int; entries outside the mask are ignored.

        Raises:
            ValueError: a reference or frame that does not exist.
        """
        rows = torch.from_numpy(np.flatnonzero(np.asarray(mask, bool))).to(self.device)
        chosen = torch.as_tensor(np.asarray(references), dtype=torch.long, device=self.device)[rows]
        first = torch.as_tensor(np.asarray(frames), dtype=torch.long, device=self.device)[rows]
        episodes = self.bundle.references
        if bool(((chosen < 0) | (chosen >= len(episodes))).any()):
            raise ValueError(f"references {chosen.tolist()}: expected numbers from 0 to {len(episodes) - 1}")
        if bool(((first < 0) | (first >= episodes.lengths[chosen])).any()):
            lengths = episodes.lengths[chosen].tolist()
            raise ValueError(f"frames {first.tolist()} of references that have {lengths} frames, counted from 0")
        source = episodes.starts[chosen] + first
        # New tensors, not writes in place: a DreamStep that was handed out keeps its values.
        self.tokens = self.tokens.index_copy(0, rows, self.bundle.standardize(episodes.tokens[source]))
        self.proprio = self.proprio.index_copy(0, rows, self.bundle.standardize_proprio(episodes.proprio[source]))
        self.reference = self.reference.index_copy(0, rows, chosen)
        self.frame = self.frame.index_copy(0, rows, first)
        self.chunks = self.chunks.index_fill(0, rows, 0)
        self.clamped = self.clamped.index_fill(0, rows, 0.0)
        if self.disagreement is not None:
            self.disagreement = self.disagreement.index_fill(0, rows, 0.0)
        self.episodes[rows.cpu().numpy()] += 1
        return self.state()

    def reset_to(self, tokens: Tensor, proprio: Tensor) -> DreamStep:
        """Begin all episodes at given states instead of recorded frames; references keep their numbers.

        Args:
            tokens: (B, L, C) standardised float32.
            proprio: (B, P) in the task's units.

        Raises:
            ValueError: another shape, or values that are not finite.
        """
        # Cast before it is moved: not every device has float64.
        felt = self.bundle.standardize_proprio(torch.as_tensor(proprio).float().to(self.device))
        if tokens.shape != self.tokens.shape or felt.shape != self.proprio.shape:
            raise ValueError(
                f"tokens {tuple(tokens.shape)} and proprioception {tuple(felt.shape)}: expected "
                f"{tuple(self.tokens.shape)} and {tuple(self.proprio.shape)}"
            )
        if not bool(tokens.isfinite().all() & felt.isfinite().all()):
            raise ValueError("tokens or proprioception hold NaN or infinite values")
        self.tokens, self.proprio = tokens.to(self.device, torch.float32), felt
        self.clamped = torch.zeros_like(self.clamped)
        self.frame, self.chunks = torch.zeros_like(self.frame), torch.zeros_like(self.chunks)
        if self.disagreement is not None:
            self.disagreement = torch.zeros_like(self.disagreement)
        self.episodes += np.uint64(1)
        return self.state()

    def step(self, chunks: np.ndarray | Tensor) -> DreamStep:
        """Let every episode dream one chunk.

        Args:
            chunks: (B, K', A) float32 in [-1, 1], K' from 1 to the checkpoint's chunk K.

        Raises:
            ValueError: another shape, or a value that is not finite.
            FloatingPointError: the model predicted NaN or infinite values; the dreams stay where they were.
        """
        config = self.bundle.config
        if isinstance(chunks, np.ndarray) and not np.isfinite(chunks).all():  # before they are on another device
            raise ValueError(BAD_CHUNKS)
        actions = torch.as_tensor(chunks).float().to(self.device)
        fits = actions.ndim == 3 and actions.shape[::2] == (self.batch, config.action_size)
        if not fits or not 1 <= actions.shape[1] <= config.chunk:
            raise ValueError(
                f"chunks have shape {tuple(actions.shape)}, expected ({self.batch}, 1 to {config.chunk}, "
                f"{config.action_size})"
            )
        noise = self._noise()
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16),
            WholeBlocks() if self.batch_invariant else nullcontext(),
        ):
            tokens, proprio, disagreement = self._predict(self.tokens, self.proprio, actions, noise)
            tokens, proprio, clamped, finite = self._in_range(tokens.float(), proprio.float())
            if disagreement is not None:
                finite &= disagreement.isfinite()
        if not bool(finite.all()):  # the one wait for another device
            self._refuse(actions, finite)
        # Cloned, as tensors of inference mode may not be used together with others everywhere.
        self.tokens, self.proprio, self.clamped = tokens.clone(), proprio.clone(), clamped.clone()
        self.disagreement = None if disagreement is None else disagreement.clone()
        self.frame = self.frame + actions.shape[1]
        self.chunks = self.chunks + 1
        return self.state()

    def state(self) -> DreamStep:
        """The present state."""
        return DreamStep(
            self.tokens, self.proprio, self.reference, self.frame, self.chunks, self.clamped, self.disagreement
        )

    def images(self, rows: Sequence[int] | slice = slice(None)) -> np.ndarray:
        """Decoded frames (n, H, W, 3) uint8 of the present tokens of `rows`.

        Raises:
            ValueError: the checkpoint has no image decoder.
        """
        return self.bundle.decode_images(self.tokens[rows])

    def _in_range(self, tokens: Tensor, proprio: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Tokens and proprioception within the range of the training data, and of each row (B,) the fraction of values
        that were outside (float32), and whether all were finite."""
        kept, kept_proprio = tokens.clamp(*self._token_range), proprio.clamp(*self._proprio_range)
        outside = (kept != tokens).flatten(1).sum(dim=1) + (kept_proprio != proprio).sum(dim=1)
        finite = tokens.isfinite().flatten(1).all(dim=1) & proprio.isfinite().all(dim=1)
        return kept, kept_proprio, outside / (kept[0].numel() + kept_proprio.shape[1]), finite

    def _refuse(self, actions: Tensor, finite: Tensor) -> None:
        """Raise the error of rows that are not `finite` (B,) bool: their actions', or the model's."""
        if not bool(actions.isfinite().all()):
            raise ValueError(BAD_CHUNKS)
        name, place = self.bundle.config.name, self.bundle.path
        raise FloatingPointError(
            f"checkpoint {name!r}{f' ({place})' if place else ''} predicted NaN or infinite values in dreams "
            f"{torch.nonzero(~finite)[:, 0].tolist()}: its world model is damaged, or was trained too little for these "
            "starts and actions. Measure it with `rla-gym eval`, train it further or take another checkpoint; a reset "
            "begins new dreams"
        )

    def _noise(self) -> Tensor | None:
        if self.temperature == 0:
            return None
        drawn: np.ndarray = np.float32(self.temperature) * keyed_normal(self._keys(), self.latent_shape)
        return torch.from_numpy(drawn).to(self.device)

    def _keys(self) -> np.ndarray:
        return make_keys(self.seeds, self.episodes, self.chunks.cpu().numpy())

    def _predict(
        self, tokens: Tensor, proprio: Tensor, actions: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Tokens and proprioception after a chunk; `noise` (B, N, D) or None as `next_tokens` takes it.

        And the disagreement (B,) of samples drawn besides, where it is measured.
        """
        flow = self.bundle.flow
        has_proprio = proprio.shape[1] > 0
        central = noise is None and self._disagreement is None
        conditioning = flow.condition(tokens, actions, proprio=proprio if has_proprio else None, central=central)
        after = next_tokens(flow, self.bundle.autoencoder, conditioning, tokens, noise, self.steps, self._midpoint)
        disagreement = None
        if self._disagreement is not None:
            disagreement = self._disagreement(conditioning, tokens, self._keys())
        return after, proprio + flow.proprio_delta(conditioning) if has_proprio else proprio, disagreement
