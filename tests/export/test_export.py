"""Choosing reference episodes, reading runs back, and what the training card says."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.data import TokenStore
from rla_gym.export.export import check_parts, choose_references, reference_sources
from rla_gym.models.autoencoder import RLAConfig
from rla_gym.models.flow_config import FlowConfig
from rla_gym.training.batches import weights_hash
from rla_gym.training.run import TrainedRun, config_of


@pytest.fixture
def many(encoded: TokenStore) -> TokenStore:
    """A store's index with 400 episodes: half experts, two thirds of all successful."""
    episodes = np.arange(400)
    return replace(
        encoded,
        seeds=episodes * 7919,
        successes=episodes % 3 > 0,
        sources=tuple("expert" if episode % 2 else "play" for episode in episodes),
        starts=episodes * 10,
        lengths=np.full(400, 10),
    )


def test_references_are_successful_experts_of_the_parts_asked_for(many: TokenStore) -> None:
    chosen = choose_references(many, 30, 3)
    assert len(set(chosen)) == 36
    assert (np.diff(chosen) > 0).all()
    assert many.successes[chosen].all()
    assert {many.sources[episode] for episode in chosen} == {"expert"}
    counts = [np.isin(chosen, many.split(part)).sum() for part in ("train", "validation", "test")]
    assert counts == [30, 3, 3]


def test_references_depend_on_the_seed_alone(many: TokenStore) -> None:
    assert (choose_references(many, 30, 3, seed=1) == choose_references(many, 30, 3, seed=1)).all()
    assert not np.array_equal(choose_references(many, 30, 3, seed=1), choose_references(many, 30, 3, seed=2))


def test_references_of_other_demonstrators(many: TokenStore) -> None:
    chosen = choose_references(many, 1000, 0, sources=("play", "expert"))
    assert {many.sources[episode] for episode in chosen} == {"expert", "play"}
    assert len(chosen) == many.successes[many.split("train")].sum()


def test_no_reference_is_an_error_that_counts(many: TokenStore) -> None:
    with pytest.raises(ValueError, match="no successful training episode of nobody"):
        choose_references(many, 30, 3, sources=("nobody",))
    with pytest.raises(ValueError, match="take those of other demonstrators with --sources play, or record some$"):
        choose_references(replace(many, sources=("play",) * 400), 30, 3)
    with pytest.raises(ValueError, match="references=-1, held_out_references=3: expected at least 1 and 0"):
        choose_references(many, -1, 3)


def test_references_of_recordings_by_people_and_of_tasks_without_success(many: TokenStore) -> None:
    human = replace(many, sources=tuple("human" if episode % 2 else "play" for episode in range(400)))
    assert {human.sources[episode] for episode in choose_references(human, 30, 3)} == {"human"}
    never = replace(human, successes=np.zeros(400, bool))
    with pytest.raises(ValueError, match="take those without success with --unsuccessful, or record some"):
        choose_references(never, 30, 3)
    assert len(choose_references(never, 30, 3, unsuccessful=True)) == 36


def test_play_alone_needs_no_flag_and_skilled_recordings_without_success_one(many: TokenStore) -> None:
    never = np.zeros(400, bool)
    play = replace(many, sources=("play",) * 400, successes=never)
    assert reference_sources(play, None, False) == (["play"], True)
    human = replace(many, sources=tuple("human" if episode % 2 else "play" for episode in range(400)), successes=never)
    assert reference_sources(human, None, False) == (["human"], False)
    assert reference_sources(human, None, True) == (["human"], True)
    assert reference_sources(human, ["play"], False) == (["play"], True)
    for store, asked in ((play, None), (human, ["play"])):
        sources, unsuccessful = reference_sources(store, asked, False)
        chosen = choose_references(store, 30, 3, sources, unsuccessful=unsuccessful)
        assert {store.sources[episode] for episode in chosen} == {"play"}
    some = replace(many, sources=("play",) * 400)
    assert reference_sources(some, None, False) == (["play"], False)  # those that succeeded, as of everyone


def test_run_that_never_saved(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="rla-gym train"):
        TrainedRun.read(tmp_path)


def test_config_of_gives_back_tuples() -> None:
    @dataclass(frozen=True)
    class Sizes:
        grid: tuple[int, int]
        width: int

    assert config_of(Sizes, {"grid": [8, 8], "width": 3}, Path("run")) == Sizes((8, 8), 3)


def test_config_of_a_run_older_than_a_switch() -> None:
    values = asdict(RLAConfig(channels=64))
    del values["linear_path"]
    assert config_of(RLAConfig, values, Path("run")) == RLAConfig(channels=64)
    flow = asdict(FlowConfig(channels=64))
    del flow["grid_columns"], flow["anchor"]
    assert config_of(FlowConfig, flow, Path("run")) == FlowConfig(channels=64)
    del values["channels"]  # a size is no switch
    with pytest.raises(ValueError, match="the run in run lacks the entries channels of RLAConfig"):
        config_of(RLAConfig, values, Path("run"))


def test_config_of_another_model_names_the_fields() -> None:
    with pytest.raises(ValueError, match="the run in run has unknown entries keypoints"):
        config_of(RLAConfig, {"keypoints": 16}, Path("run"))


def test_parts_may_come_from_the_store_that_this_one_is_like(bundle: Bundle, encoded: TokenStore) -> None:
    """All but the flow, whose proprioception is standardised by the store it was trained on."""
    data = {"dataset": encoded.info["dataset"], "encoder": encoded.info["encoder"]}
    earlier = data | {"dataset": "0" * 64}
    wanted = weights_hash(bundle.autoencoder)

    def part(data: dict[str, object]) -> TrainedRun:
        return TrainedRun(Path("run"), 1, 1, {}, 1, {}, {"data": data, "autoencoder": {"weights": wanted}}, {})

    models = {"autoencoder": bundle.autoencoder}
    like = replace(encoded, info=encoded.info | {"like_datasets": ["0" * 64]})
    check_parts({"autoencoder": part(earlier), "flow": part(data)}, models, like)
    with pytest.raises(ValueError, match="run in run was trained on data set 000000000000"):
        check_parts({"autoencoder": part(earlier), "flow": part(data)}, models, encoded)
    with pytest.raises(ValueError, match="run in run was trained on data set 000000000000"):
        check_parts({"autoencoder": part(data), "flow": part(earlier)}, models, like)
