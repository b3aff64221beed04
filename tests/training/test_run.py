"""Runs tell whether they are finished and whose tokens they learned from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rla_gym.data import TokenStore
from rla_gym.training.batches import origin
from rla_gym.training.run import TrainedRun


def run_of(data: dict[str, object], step: int = 5) -> TrainedRun:
    return TrainedRun(Path("runs/mine/flow"), step, 5, {}, 1, {}, {"data": data}, {})


def test_unfinished_runs_are_told() -> None:
    assert run_of({}).complete().step == 5
    with pytest.raises(ValueError, match=r"runs/mine/flow was stopped at step 3 of 5, 2 are missing; .* --unfinished"):
        run_of({}, step=3).complete()


def test_tokens_of_other_coordinates_are_refused(encoded: TokenStore) -> None:
    run_of(origin(encoded)).check_data(encoded)
    older = {name: value for name, value in origin(encoded).items() if name != "coordinates"}
    run_of(older).check_data(encoded)
    shifted = replace(encoded, mean=encoded.mean + 1)
    assert shifted.info == encoded.info  # the same data set by the same encoder
    with pytest.raises(ValueError, match="other channels or statistics than those of .*`--like` it"):
        run_of(origin(encoded)).check_data(shifted)


def test_data_of_a_store_that_this_one_is_like(encoded: TokenStore) -> None:
    earlier = origin(encoded) | {"dataset": "0" * 64}
    like = replace(encoded, info=encoded.info | {"like_datasets": ["0" * 64]})
    run_of(earlier).check_data(like)
    for store, options in ((encoded, {}), (like, {"like": False})):
        with pytest.raises(ValueError, match="was trained on data set 000000000000"):
            run_of(earlier).check_data(store, **options)
