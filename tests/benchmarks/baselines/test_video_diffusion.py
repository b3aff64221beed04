"""Video diffusion: frames in and out, the schedule, what it learns in a moment."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.baselines.chunk_training import ChunkOptions
from benchmarks.baselines.recorded import Recorded
from benchmarks.baselines.video_diffusion import TIMES, VideoConfig, VideoDiffusion, VideoNetwork, noise_schedule
from benchmarks.baselines.video_training import VideoTraining
from rla_gym.data import TokenStore
from rla_gym.models.encoder import Encoder
from rla_gym.training.loop import LoopConfig, fit, load_weights
from rla_gym.utils.keyed_rng import make_keys
from tests.benchmarks.baselines.checks import QUIET, check_batches, check_prediction, check_resume, some_rows

pytestmark = pytest.mark.skipif(find_spec("diffusers") is None, reason="video diffusion is built with diffusers")


def training(episodes: Recorded, encoder: Encoder, seed: int = 0, batch: int = 4, width: int = 8) -> VideoTraining:
    config = VideoConfig((112, 112), action_size=2, proprio_size=4, width=width, patch=7)
    return VideoTraining(episodes, ChunkOptions(4), config, encoder, batch, seed, starts=4, longest=1, steps=2)


def test_frames_survive_space_to_depth(episodes: Recorded, small_encoder: Encoder) -> None:
    network = training(episodes, small_encoder).network
    frames = torch.from_numpy(episodes.frames(some_rows(episodes, 2)))
    channels = network.to_channels(frames)
    assert channels.shape == (2, 147, 16, 16) and channels.min() >= -1 and channels.max() <= 1
    assert torch.equal(network.to_frames(channels), frames)


def test_the_schedule_starts_from_noise_alone() -> None:
    noise = torch.full((1, 1, 2, 2), 3.0)
    noisy = noise_schedule().add_noise(torch.ones(1, 1, 2, 2), noise, torch.tensor([TIMES - 1]))
    torch.testing.assert_close(noisy, noise)


def test_an_untrained_network_draws_the_present_frame(episodes: Recorded, small_encoder: Encoder) -> None:
    one = training(episodes, small_encoder)
    model, rows = VideoDiffusion(one.network, one.tokenizer, steps=3), some_rows(episodes, 2)
    state = episodes.start(model, rows)
    after = model.predict(state, episodes.chunks(rows, 4, 1)[:, 0], make_keys(*np.arange(6).reshape(3, 2)))
    assert torch.equal(after.memory["frames"], state.memory["frames"])


def test_sampling_undoes_the_noise_of_a_perfect_network(
    episodes: Recorded, small_encoder: Encoder, encoded: TokenStore
) -> None:
    """A network that knows the next frame draws just that, and its tokens are that frame's."""
    one = training(episodes, small_encoder)
    rows = some_rows(episodes, 2)
    truth = torch.from_numpy(episodes.frames(rows + 4))

    def perfect(noisy, frames, times, vector):
        return one.network.to_channels(truth)

    model = VideoDiffusion(one.network, one.tokenizer, steps=3)
    one.network.forward = perfect
    state = episodes.start(model, rows)
    after = model.predict(state, episodes.chunks(rows, 4, 1)[:, 0], make_keys(*np.arange(6).reshape(3, 2)))
    assert torch.equal(after.memory["frames"], truth)
    torch.testing.assert_close(after.tokens, encoded.normalized(rows + 4), atol=2e-3, rtol=0)


def test_batches(episodes: Recorded, small_encoder: Encoder) -> None:
    check_batches(lambda seed: training(episodes, small_encoder, seed))
    batch = training(episodes, small_encoder).batch(0, 0)
    rows = batch["rows"].numpy()
    np.testing.assert_array_equal(batch["frames"], episodes.frames(rows[:, 0]))
    np.testing.assert_array_equal(batch["next_frames"], episodes.frames(rows[:, 1]))


def test_predictions(episodes: Recorded, small_encoder: Encoder) -> None:
    one = training(episodes, small_encoder)
    torch.nn.init.normal_(one.network.unet.conv_out.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    after = check_prediction(VideoDiffusion(one.network, one.tokenizer, steps=2), episodes, tolerance=1e-3)
    assert after.memory["frames"].dtype == torch.uint8


def test_weights_depend_on_the_seed_alone() -> None:
    config, made, states = VideoConfig((112, 112), 2, 4, 8, patch=7), [], []
    for own, others in ((1, 5), (1, 6), (2, 6)):
        torch.manual_seed(others)
        made.append(VideoNetwork(config, torch.Generator().manual_seed(own)).state_dict())
        states.append(torch.random.get_rng_state())
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])
    assert not torch.equal(made[1]["unet.conv_in.weight"], made[2]["unet.conv_in.weight"])
    # Nor does the seed of a network reach the generator of others.
    assert torch.equal(states[1], states[2]) and not torch.equal(states[0], states[1])


def test_resume(episodes: Recorded, small_encoder: Encoder, tmp_path: Path) -> None:
    check_resume(lambda: training(episodes, small_encoder, batch=8), tmp_path)


@pytest.mark.slow  # some ten seconds; `test_resume` trains it too
def test_learns(episodes: Recorded, small_encoder: Encoder, tmp_path: Path) -> None:
    """An untrained network draws the present frame, so to be below its loss is to beat "nothing moves"."""
    one = training(episodes, small_encoder, batch=8, width=16)
    batch = VideoTraining(episodes, ChunkOptions(4), one.config, small_encoder, 24, 5, 1, 1).batch(0, 0)
    with torch.no_grad():
        still = float(one.loss(batch, 0)[1]["frames"])
    loop = LoopConfig(steps=100, batch_size=8, lr=3e-3, warmup=10, save_every=100, eval_every=100, ema=0.95)
    fit(one, loop, tmp_path, **QUIET)
    one.network.load_state_dict(load_weights(tmp_path)["network"])
    with torch.no_grad():
        assert float(one.loss(batch, 0)[1]["frames"]) < 0.8 * still


def test_frames_that_cannot_be_halved() -> None:
    with pytest.raises(ValueError, match="expected multiples of 16"):
        VideoConfig((112, 100), 2, 4, 8)
    with pytest.raises(ValueError, match="width=12: expected a multiple of 8"):
        VideoConfig((112, 112), 2, 4, 12)
