"""DINO-WM's regression of whole chunks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.baselines.chunk_training import ChunkOptions
from benchmarks.baselines.dino_wm import DinoWM, DinoWMConfig, DinoWMTraining
from benchmarks.baselines.recorded import Recorded
from rla_gym.data.sampling import chunk_actions
from tests.benchmarks.baselines.checks import check_batches, check_learned, check_prediction, check_resume, learned


def training(
    episodes: Recorded, sizes: dict[str, int], seed: int = 0, batch: int = 8, **options: float
) -> DinoWMTraining:
    config = DinoWMConfig(**sizes, width=32, blocks=2, heads=2)
    return DinoWMTraining(episodes, ChunkOptions(4, **options), config, batch, seed, starts=48)


def test_batches(episodes: Recorded, sizes: dict[str, int]) -> None:
    check_batches(lambda seed: training(episodes, sizes, seed))


def test_chunks_lead_from_the_one_end_to_the_other(episodes: Recorded, sizes: dict[str, int]) -> None:
    store = episodes.store
    batch = training(episodes, sizes, batch=100, feedback=0.3, full_share=0.5).batch(0, 0)
    rows, later = batch["rows"].numpy().T
    lengths = batch["lengths"].numpy()
    assert (later - rows == lengths).all() and (lengths[: 30 + 35] == 4).all() and set(lengths) == {1, 2, 3, 4}
    assert (store.episode_of(rows) == store.episode_of(later)).all()
    assert set(store.episode_of(rows)) <= set(store.split("train"))
    assert (batch["chunks"].numpy() == chunk_actions(store, rows, 4, lengths)).all()
    assert torch.equal(batch["tokens"], store.normalized(rows))
    assert torch.equal(batch["next_tokens"], store.normalized(later))
    # The fed back ones come from two chunks before.
    assert (batch["earlier"].numpy() == rows[:30] - 8).all()
    assert torch.equal(batch["earlier_tokens"], store.normalized(rows[:30] - 8))
    assert (batch["earlier_chunks"][1].numpy() == chunk_actions(store, rows[:30] - 4, 4)).all()
    assert episodes.proprio is not None
    assert torch.equal(batch["earlier_proprio"], episodes.proprio[rows[:30] - 8])


def test_fed_back_rows_start_from_the_models_own_prediction(episodes: Recorded, sizes: dict[str, int]) -> None:
    one = training(episodes, sizes, feedback=0.5)
    with torch.no_grad():
        for parameter in one.network.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
        batch = one.batch(0, 0)
        fed, felt = batch["earlier_tokens"], batch["earlier_proprio"]
        for chunk in batch["earlier_chunks"]:
            fed, felt = one.network(fed, chunk, None, felt)
        loss, parts = one.loss(batch, 0)
        one.fed_back = 0
        given = {**batch, "tokens": torch.cat([fed, batch["tokens"][4:]])}
        given["proprio"] = torch.cat([felt, batch["proprio"][4:]])
        torch.testing.assert_close(loss, one.loss(given, 0)[0])
        assert abs(one.loss(batch, 0)[1]["tokens"] - parts["tokens"]) > 1e-3


def test_predictions(episodes: Recorded, sizes: dict[str, int]) -> None:
    network = training(episodes, sizes).network
    torch.nn.init.normal_(network.out_layer.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    check_prediction(DinoWM(network), episodes)


def test_resume(episodes: Recorded, sizes: dict[str, int], tmp_path: Path) -> None:
    check_resume(lambda: training(episodes, sizes), tmp_path)


def test_learns(episodes: Recorded, sizes: dict[str, int], tmp_path: Path) -> None:
    metrics = learned(training(episodes, sizes, batch=32), tmp_path, 150)
    check_learned(metrics, "c1", 0.95, 0.01)


def test_proprioception_is_needed(episodes: Recorded, sizes: dict[str, int]) -> None:
    network = training(episodes, sizes).network
    tokens = torch.zeros(2, sizes["patches"], sizes["channels"])
    with pytest.raises(ValueError, match=r"pass proprio \(2, 4\)"):
        network(tokens, torch.zeros(2, 4, 2), None, None)
