"""Pickles of bundles: a name where they are those of their folder, and all that differs where they are not."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.pickling import packed, unpacked
from rla_gym.checkpoint.provenance import content, tensors_of
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.models.encoder import Encoder
from rla_gym.utils.digests import with_digest
from rla_gym.utils.files import read_json, write_json

PARTS = ("autoencoder", "flow", "features", "image_decoder", "references", "mean", "std", "object_weights")


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may spoil."""
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


@pytest.fixture
def mine(folder: Path) -> Bundle:
    return load_checkpoint(folder)


def prints(bundle: Bundle) -> dict[str, str]:
    return {name: content(getattr(bundle, name)) for name in PARTS}


def size(value: Any) -> int:
    return len(pickle.dumps(value))


def test_a_checkpoints_bundle_travels_by_name(mine: Bundle) -> None:
    assert size(mine) < 500 < 100_000 < size(replace(mine, path=None))
    assert pickle.loads(pickle.dumps(mine)) is mine
    assert size(mine.to("cpu")) == size(mine)
    mine.encoder.encode(torch.zeros(1, 112, 112, 3, dtype=torch.uint8))  # an encoder that was loaded stays as well
    assert size(mine) < 500


def in_place(bundle: Bundle) -> Bundle:
    with torch.no_grad():
        bundle.flow.flow_out_proj.weight.add_(0.5)
    return bundle


def through_data(bundle: Bundle) -> Bundle:
    bundle.flow.flow_out_proj.weight.data.mul_(2.0)
    return bundle


def one_number(bundle: Bundle) -> Bundle:
    bundle.flow.flow_out_proj.weight.numpy()[0, 0] += 1e-3
    return bundle


def by_state(bundle: Bundle) -> Bundle:
    state = bundle.flow.state_dict()
    bundle.flow.load_state_dict({name: value + 1 for name, value in state.items()})
    return bundle


def buffers(bundle: Bundle) -> Bundle:
    bundle.flow.set_latent_statistics(2 * bundle.flow.latent_scale)
    return bundle


@pytest.mark.parametrize("change", [in_place, through_data, one_number, by_state, buffers])
def test_what_was_changed_in_place_travels(mine: Bundle, change: Callable[[Bundle], Bundle]) -> None:
    changed = change(mine)
    data = pickle.dumps(changed)
    again = pickle.loads(data)
    assert again is not changed and again.flow is not changed.flow
    assert prints(again) == prints(changed)
    assert len(data) < 1.2 * size(changed.flow) < size(replace(changed, path=None))  # the flow alone
    assert pickle.loads(pickle.dumps(again)).flow is not again.flow  # and a second journey remembers it
    assert prints(pickle.loads(pickle.dumps(again))) == prints(changed)


def test_what_was_replaced_travels(mine: Bundle) -> None:
    fewer = replace(mine.references, seeds=mine.references.seeds + 1)
    config = replace(mine.config, steps=7)
    other = replace(mine, std=2 * mine.std, references=fewer, config=config, object_weights=None)
    again = pickle.loads(pickle.dumps(other))
    assert again.config == config and again.object_weights is None and again.flow is mine.flow
    assert torch.equal(again.std, other.std) and torch.equal(again.references.seeds, fewer.seeds)
    equal = replace(mine, std=mine.std.clone(), config=replace(mine.config))
    assert pickle.loads(pickle.dumps(equal)) is mine  # nothing that differs


def test_a_folder_that_was_changed_names_nothing(mine: Bundle, folder: Path) -> None:
    data, before = pickle.dumps(mine), prints(mine)
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", with_digest({**config, "steps": 9}))
    with pytest.raises(ValueError, match="another version of it; pickle again"):
        pickle.loads(data)
    again = pickle.loads(pickle.dumps(mine))  # what was loaded before the change now travels whole
    assert again.config.steps == mine.config.steps != load_checkpoint(folder).config.steps
    assert prints(again) == before


def test_a_folder_that_is_not_there_is_told(mine: Bundle, folder: Path) -> None:
    named, whole, before = pickle.dumps(mine), pickle.dumps(replace(mine, path=None)), prints(mine)
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError, match=r"put it there, or pickle dataclasses.replace\(bundle, path=None\)"):
        pickle.loads(named)
    assert prints(pickle.loads(whole)) == prints(pickle.loads(pickle.dumps(mine))) == before


def test_built_in_ones_are_known_elsewhere_by_name(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("here", "there"):
        shutil.copytree(checkpoint, tmp_path / place / "push-cube")
    monkeypatch.setattr("rla_gym.checkpoint.resolve.BUILT_IN", tmp_path / "here")
    data = pickle.dumps(load_checkpoint("push-cube"))
    monkeypatch.setattr("rla_gym.checkpoint.resolve.BUILT_IN", tmp_path / "there")
    shutil.rmtree(tmp_path / "here")
    assert pickle.loads(data).path == (tmp_path / "there" / "push-cube").resolve()


def test_a_bundle_that_was_never_saved_travels_whole(mine: Bundle) -> None:
    made = replace(mine, path=None, _origin=None)
    again = pickle.loads(pickle.dumps(made))
    assert again is not made and prints(again) == prints(made)


def test_an_encoder_that_no_file_has_travels(mine: Bundle, small_encoder: Encoder) -> None:
    bare = replace(mine, encoder_path=None, _encoder=None)
    with pytest.raises(FileNotFoundError, match="use_encoder"):
        _ = pickle.loads(pickle.dumps(bare)).encoder
    bare.use_encoder(small_encoder)
    assert pickle.loads(pickle.dumps(bare)).encoder.hash == small_encoder.hash


def test_parts_are_names_wherever_they_are(mine: Bundle) -> None:
    state = {"all": [mine, mine.flow], "deep": {"of": (mine.references, mine.std)}, "own": torch.ones(3), "none": None}
    data = packed(state, mine)
    assert len(data) < 2_000
    again = unpacked(data, mine)
    assert again["all"][0] is mine and again["all"][1] is mine.flow and again["none"] is None
    assert again["deep"]["of"][0] is mine.references and again["deep"]["of"][1] is mine.std
    assert torch.equal(again["own"], torch.ones(3))


def test_every_tensor_is_looked_at(mine: Bundle) -> None:
    """Statistics of batches and the like are buffers, some of which no file has."""
    named = tensors_of(mine.flow)
    assert {"latent_scale", "latent_mean"} <= set(named) and len(named) > len(list(mine.flow.parameters()))
    assert tensors_of(mine.references).keys() == set(mine.references.__dataclass_fields__)
    assert tensors_of(mine.config) == {}
