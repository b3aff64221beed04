"""Shared by tests of environments: references that differ from the checkpoint's own."""

from __future__ import annotations

import pytest

from rla_gym.checkpoint.references import References
from rla_gym.data import TokenStore


@pytest.fixture(scope="module")
def foreign(encoded: TokenStore) -> References:
    """Three of the ten episodes, by another number each."""
    return References.from_store(encoded, [7, 2, 4])
