"""Spaces and observations that dreams and the real simulator share."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from torch import Tensor

from rla_gym.checkpoint.bundle import Bundle

OBS_MODES = ("features", "tokens", "pixels", "dict")
PROPRIO_LIMIT = 5.0
"""Standardised proprioception is clipped to this many standard deviations."""
TOKEN_LIMIT = 30.0
"""Standardised tokens are clipped to this many standard deviations, in observations only."""

Observation = np.ndarray | dict[str, np.ndarray]


def observation_space(bundle: Bundle, obs_mode: str) -> spaces.Space[Any]:
    """Space of one environment's observations; an unknown mode is a ValueError that lists the modes.

    - "features": Box (F + P,) float32, the feature map in [-1, 1], then proprioception in [-5, 5].
    - "dict": Dict of "features" (F,) and, where there is any, "proprio" (P,).
    - "tokens": Box (L, C) float32 in [-30, 30], standardised.
    - "pixels": Box (H, W, 3) uint8.
    """
    config = bundle.config
    features = np.ones(config.features.size, np.float32)
    proprio = np.full(config.proprio_size, PROPRIO_LIMIT, np.float32)
    if obs_mode == "features":
        high = np.concatenate([features, proprio])
        return spaces.Box(-high, high, dtype=np.float32)
    if obs_mode == "dict":
        parts: dict[str, spaces.Space[Any]] = {"features": spaces.Box(-features, features, dtype=np.float32)}
        if config.proprio_size:
            parts["proprio"] = spaces.Box(-proprio, proprio, dtype=np.float32)
        return spaces.Dict(parts)
    if obs_mode == "tokens":
        shape = tuple(bundle.references.tokens.shape[1:])
        return spaces.Box(-TOKEN_LIMIT, TOKEN_LIMIT, shape, np.float32)
    if obs_mode == "pixels":
        return spaces.Box(0, 255, (*config.frame_size, 3), np.uint8)
    raise ValueError(f"obs_mode={obs_mode!r}: expected one of {', '.join(OBS_MODES)}")


def action_space(bundle: Bundle, chunk: int) -> spaces.Box:
    """Box (chunk * A,) float32 in [-1, 1]: the actions of `chunk` control steps, one after another."""
    return spaces.Box(-1.0, 1.0, (chunk * bundle.config.action_size,), np.float32)


def observe(
    bundle: Bundle, obs_mode: str, tokens: Tensor | None, proprio: Tensor, frames: np.ndarray | None = None
) -> Observation:
    """Observations of n environments, batched along the first axis.

    Args:
        tokens: (n, L, C) standardised; may be None for "pixels" with `frames`.
        proprio: (n, P) standardised.
        frames: (n, H, W, 3) uint8 real frames; without them "pixels" decodes the tokens.
    """
    if obs_mode == "pixels" and frames is not None:
        return frames
    assert tokens is not None
    if obs_mode == "pixels":
        return bundle.decode_images(tokens)
    if obs_mode == "tokens":
        limited: np.ndarray = tokens.clamp(-TOKEN_LIMIT, TOKEN_LIMIT).cpu().numpy()
        return limited
    parts = {"features": bundle.feature_map(tokens).clamp(-1, 1).cpu().numpy()}
    if proprio.shape[1]:
        parts["proprio"] = proprio.clamp(-PROPRIO_LIMIT, PROPRIO_LIMIT).cpu().numpy()
    return parts if obs_mode == "dict" else np.concatenate(list(parts.values()), axis=1)


def row_of(observation: Observation, index: int | slice) -> Observation:
    """One environment's observation (or those of several) of a batch of them, copied."""
    if isinstance(observation, dict):
        return {name: values[index].copy() for name, values in observation.items()}
    row: np.ndarray = observation[index].copy()
    return row


def put_rows(target: Observation, rows: np.ndarray, source: Observation) -> None:
    """Write the observations `source` of n environments into rows (n,) of `target`, in place."""
    if isinstance(target, dict):
        assert isinstance(source, dict)
        for name, values in target.items():
            values[rows] = source[name]
    else:
        target[rows] = source


def checked_chunks(
    actions: Any, batch: int, chunk: int, action_size: int, resting: np.ndarray | None = None
) -> np.ndarray:
    """Chunks (batch, chunk, A) float32 of flattened actions (batch, chunk * A), clipped to [-1, 1].

    Args:
        actions: an array, or nested lists, of real numbers.
        resting: (batch,) bool, rows whose actions are ignored and become 0.

    Raises:
        ValueError: another shape or type, or NaN or infinite values.
    """
    array = real_array(actions, "actions")
    if array.shape != (batch, chunk * action_size):
        raise ValueError(
            f"actions have shape {array.shape}, expected ({batch}, {chunk * action_size}): {chunk} control steps of "
            f"{action_size} numbers, flattened, for each of {batch} environments"
        )
    if resting is not None and resting.any():
        array = np.where(resting[:, None], np.float32(0.0), array)
    if not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array).all(axis=1)).tolist()
        raise ValueError(f"actions of environments {bad} hold NaN or infinite values: check the policy")
    return np.clip(array, -1.0, 1.0).reshape(batch, chunk, action_size)


def real_array(values: Any, name: str) -> np.ndarray:
    """`values` as a float32 array; a ValueError unless they are real numbers in equal rows."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} make no array ({error}): expected rows of equally many real numbers") from error
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} are of dtype {array.dtype}: expected real numbers, such as float32")
    real: np.ndarray = array.astype(np.float32)
    return real
