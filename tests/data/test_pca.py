"""The channel map: one product for stores and checkpoints, the same for a frame whatever is beside it."""

from __future__ import annotations

import numpy as np
import torch

from rla_gym.data.pca import ChannelPCA, project_tokens


def test_a_frame_gets_the_same_tokens_in_any_batch() -> None:
    generator = np.random.default_rng(0)
    tokens = generator.normal(size=(11, 9, 24)).astype(np.float32)
    channel_map = ChannelPCA(
        generator.normal(size=24).astype(np.float32), generator.normal(size=(5, 24)).astype(np.float32), 1.0
    )
    whole = channel_map.project(tokens)
    assert whole.dtype == np.float32 and whole.shape == (11, 9, 5)
    exact = (tokens.astype(np.float64) - channel_map.mean) @ channel_map.components.T.astype(np.float64)
    np.testing.assert_allclose(whole, exact, atol=1e-5)
    for size in (1, 3, 8):
        parts = [channel_map.project(tokens[at : at + size]) for at in range(0, len(tokens), size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    again = project_tokens(*(torch.from_numpy(a) for a in (tokens, channel_map.mean, channel_map.components)))
    np.testing.assert_array_equal(again.numpy(), whole)
    assert channel_map.project(tokens[:0]).shape == (0, 9, 5)
