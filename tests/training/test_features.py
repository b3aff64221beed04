"""Training of the keypoint features on real recorded frames."""

from pathlib import Path

from rla_gym.data import TokenStore
from rla_gym.models.features import FeaturesConfig
from rla_gym.training.features import FeaturesTraining
from rla_gym.training.loop import LoopConfig, fit


def test_keypoints_come_to_explain_what_differs_between_frames(store: TokenStore, tmp_path: Path) -> None:
    config = FeaturesConfig(store.tokens.shape[2], store.grid, keypoints=8, width=32, decoder_width=64)
    trained = FeaturesTraining(store, config, 32, seed=0)
    name = f"{trained.prefix}explained"
    before = trained.evaluate(0)[name]
    result = fit(trained, LoopConfig(300, 32, lr=3e-3, warmup=20, ema=0.9), tmp_path, tensorboard=False)
    after = result["metrics"][name]
    assert before < 0.1 and after > 0.4, (before, after)


def test_batches_are_functions_of_seed_and_step(store: TokenStore) -> None:
    config = FeaturesConfig(store.tokens.shape[2], store.grid)
    one, two = (FeaturesTraining(store, config, 8, seed=1) for _ in range(2))
    assert one.batch(3, 0)["rows"].equal(two.batch(3, 0)["rows"])
    assert not one.batch(3, 0)["rows"].equal(one.batch(4, 0)["rows"])
    assert not one.batch(3, 0)["rows"].equal(one.batch(3, 1)["rows"])


def test_the_decoder_is_given_proprioception(store: TokenStore) -> None:
    """What proprioception tells needs no keypoint, so the rebuilt tokens depend on it."""
    trained = FeaturesTraining(store, FeaturesConfig(store.tokens.shape[2], store.grid), 8, seed=1)
    batch = trained.batch(0, 0)
    assert batch["proprio"].shape == (8, store.proprio.shape[1]) and trained.decoder.proprio_size > 0
    before, _ = trained.loss(batch, 0)
    after, _ = trained.loss({**batch, "proprio": -batch["proprio"]}, 0)
    assert before.item() != after.item()
