import json

import h5py
import numpy as np

from rla_gym.data import EpisodeDataset
from rla_gym.data.digests import combine_digests, episode_digest
from rla_gym.data.formats.robomimic import env_args


def test_layout_is_what_robomimic_reads(collected):
    """The fields that robomimic's SequenceDataset and its environment loader open."""
    with h5py.File(collected / "episodes.hdf5") as file:
        data = file["data"]
        arguments = json.loads(data.attrs["env_args"])
        assert arguments == {"env_name": "push-cube", "type": 2, "env_kwargs": {}}
        total = 0
        for name in sorted(data, key=lambda name: int(name[5:])):
            demo = data[name]
            samples = int(demo.attrs["num_samples"])
            total += samples
            assert demo["actions"].shape == (samples, 2)
            assert demo["rewards"].shape == demo["dones"].shape == (samples,)
            assert demo["obs/agentview_image"].shape == (samples + 1, 112, 112, 3)
            assert demo["obs/agentview_image"].chunks == (1, 112, 112, 3)
            assert demo["obs/proprio"].shape == (samples + 1, 4)
            assert demo["states"].shape[0] == demo["objects"].shape[0] == samples + 1
        assert data.attrs["total"] == total


def test_hash_is_that_of_the_episodes_in_order(collected):
    dataset = EpisodeDataset(collected)
    digests = [episode_digest(episode) for episode in dataset]
    assert combine_digests(digests) == dataset.hash
    assert combine_digests(digests[::-1]) != dataset.hash


def test_frames_are_compressed(collected):
    dataset = EpisodeDataset(collected)
    raw = int(np.sum(dataset.lengths)) * 112 * 112 * 3
    assert (collected / "episodes.hdf5").stat().st_size < raw / 5


def test_robosuite_tasks_keep_their_name():
    assert env_args("robosuite:Lift") == {"env_name": "Lift", "type": 1, "env_kwargs": {}}
