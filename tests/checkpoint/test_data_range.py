"""The range that dreams are kept in: the training data's, written by export; else the references', widened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.data_range import MARGIN, RANGES, store_range
from rla_gym.checkpoint.store import load_checkpoint, save_checkpoint
from rla_gym.data import TokenStore


def test_of_a_store_it_is_that_of_the_training_episodes(encoded: TokenStore) -> None:
    rows = encoded.rows(encoded.split("train"))
    found = store_range(encoded)
    assert np.array_equal(found["token_low"], np.asarray(encoded.tokens[rows], np.float32).min(axis=(0, 1)))
    assert np.array_equal(found["proprio_high"], encoded.proprio[rows].max(axis=0))
    assert all(value.dtype == torch.float32 for value in found.values())


def test_without_one_it_is_that_of_the_references_widened(bundle: Bundle) -> None:
    tokens = bundle.references.tokens.float()
    low, high = tokens.amin(dim=(0, 1)), tokens.amax(dim=(0, 1))
    wide = MARGIN * torch.maximum(high - low, bundle.std)
    assert torch.equal(bundle.token_low, low - wide) and torch.equal(bundle.token_high, high + wide)
    other = replace(bundle, references=replace(bundle.references, tokens=bundle.references.tokens * 9))
    assert torch.equal(other.token_high, bundle.token_high)  # that of the model's own data, whatever it dreams from


def test_a_checkpoint_keeps_it(bundle: Bundle, encoded: TokenStore, tmp_path: Path) -> None:
    own = store_range(encoded)
    again = load_checkpoint(save_checkpoint(tmp_path / "ranged", replace(bundle, **own)))
    assert all(torch.equal(getattr(again, name), own[name]) for name in RANGES)


@pytest.mark.parametrize("high", [torch.zeros(3), torch.full((12,), -1e9), torch.full((12,), torch.nan)])
def test_what_is_no_range_is_refused(bundle: Bundle, high: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="token_low and token_high are no range of 12 values"):
        replace(bundle, token_high=high)


def test_the_built_in_checkpoint_is_never_clamped() -> None:
    """Its numbers in README are those of dreams without a range."""
    from rla_gym.dream.dream import Dream

    dream = Dream(load_checkpoint("push-cube"), 4, steps=1, temperature=0.0)
    dream.reset(np.ones(4, bool), np.arange(4), np.zeros(4, int))
    generator = np.random.default_rng(0)
    for _ in range(40):
        assert not dream.step(generator.choice([-1.0, 1.0], (4, 4, 2)).astype(np.float32)).clamped.any()
