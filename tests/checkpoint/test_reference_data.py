"""Stores are held against the checkpoint that takes their tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.reference_data import check_coordinates, check_store
from rla_gym.data import TokenStore


def test_other_statistics_matter_to_who_takes_standardised_tokens(bundle: Bundle, encoded: TokenStore) -> None:
    check_coordinates(encoded, bundle)
    other = replace(encoded, std=1.01 * encoded.std)
    check_store(other, bundle)  # references are standardised by the checkpoint
    with pytest.raises(ValueError, match="by another std than checkpoint .*`rla-gym encode --like`"):
        check_coordinates(other, bundle)
