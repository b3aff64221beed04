"""Handles: the simulator put back into recorded states and driven by recorded and by other actions."""

import numpy as np
import pytest

from rla_gym.bench.fidelity.starts import KINDS, Handles, make_handles
from rla_gym.data import TokenStore
from rla_gym.tasks import make_task


def handles(store: TokenStore, kind: str, chunks: int = 3) -> Handles:
    task = make_task("push-cube")
    try:
        return make_handles(store, task, kind, count=6, chunk=4, chunks=chunks, part="train")
    finally:
        task.close()


def test_recorded_actions_lead_to_the_recorded_states(encoded: TokenStore) -> None:
    found = handles(encoded, "recorded")
    for index in range(4):
        # Scaling actions to [-1, 1] and back rounds in the last bit, and contacts enlarge that: 1 mm is far below
        # what one chunk moves.
        rows = found.rows + 4 * index
        np.testing.assert_allclose(found.objects[:, index, :2], encoded.objects[rows, :2], atol=1e-3)
        felt = encoded.proprio[rows]
        np.testing.assert_allclose(found.proprio[:, index, :2], felt[:, :2], atol=1e-3)
        np.testing.assert_allclose(found.proprio[:, index, 2:], felt[:, 2:], atol=2e-2)  # velocities jump in contact


def test_other_actions_start_from_the_same_states_and_lead_elsewhere(encoded: TokenStore) -> None:
    recorded = handles(encoded, "recorded")
    for kind in set(KINDS) - {"recorded"}:
        other = handles(encoded, kind)
        np.testing.assert_array_equal(other.rows, recorded.rows)
        np.testing.assert_array_equal(other.proprio[:, 0], recorded.proprio[:, 0])
        assert np.abs(other.proprio[:, -1] - recorded.proprio[:, -1]).max() > 0.005
        assert np.abs(other.chunks).max() <= 1.0


def test_standing_still_moves_nothing(encoded: TokenStore) -> None:
    found = handles(encoded, "still")
    assert np.abs(found.proprio[:, -1] - found.proprio[:, 1]).max() < 1e-3


def test_an_unknown_kind_lists_those_that_exist(encoded: TokenStore) -> None:
    with pytest.raises(ValueError, match="sideways.*recorded, perturbed"):
        handles(encoded, "sideways")
