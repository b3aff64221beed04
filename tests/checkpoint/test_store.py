"""Checkpoint folders: what is written comes back, and whatever is wrong is said by name."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rla_gym.checkpoint import resolve
from rla_gym.checkpoint import store as module
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.resolve import find_checkpoint
from rla_gym.checkpoint.store import load_checkpoint, save_checkpoint
from rla_gym.data import EpisodeDataset, TokenStore
from rla_gym.envs.world import RLAWorldEnv
from rla_gym.models.encoder import Encoder
from rla_gym.utils.files import read_json, sha256_file, write_json
from rla_gym.utils.outputs import MANIFEST
from tests.conftest import make_bundle


@pytest.fixture
def copy(checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    config = read_json(folder / "config.json")
    config.pop("digest", None)  # as whoever edits on purpose
    change(config)
    write_json(folder / "config.json", config)


def rewrite_model(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Change tensors and make the hash fit, as another exporter might have written them."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    files = {"sha256": sha256_file(path), "bytes": path.stat().st_size}
    edit(folder, lambda config: config["files"].update({"model.safetensors": files}))


def test_what_is_saved_comes_back(bundle: Bundle, tmp_path: Path) -> None:
    again = load_checkpoint(save_checkpoint(tmp_path / "again", bundle))
    assert again.config == bundle.config
    for name in ("autoencoder", "flow", "features", "image_decoder"):
        first, second = (getattr(each, name).state_dict() for each in (bundle, again))
        assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
    for name in ("mean", "std", "proprio_mean", "proprio_std", "pca_mean", "pca_components"):
        assert torch.equal(getattr(bundle, name), getattr(again, name))
    for name, tensor in vars(bundle.references).items():
        assert torch.equal(tensor, getattr(again.references, name))
    assert again.encoder.hash == bundle.config.encoder_hash
    assert "RLAWorld-v0" in (tmp_path / "again" / "README.md").read_text()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_weights_are_halves_and_loaded_as_float32(checkpoint: Path, bundle: Bundle) -> None:
    stored = load_file(checkpoint / "model.safetensors")
    assert stored["flow.flow_out_proj.weight"].dtype == torch.float16
    assert stored["stats.mean"].dtype == torch.float32 and stored["flow.latent_scale"].dtype == torch.float32
    assert {value.dtype for value in bundle.flow.state_dict().values()} == {torch.float32}
    assert not any(parameter.requires_grad for parameter in bundle.flow.parameters())


def test_components_of_an_anchored_flow_are_kept_once(
    encoded: TokenStore, small_encoder: Encoder, tmp_path: Path
) -> None:
    bundle = make_bundle(encoded, small_encoder, anchor=True)
    folder = save_checkpoint(tmp_path / "anchored", bundle)
    names = load_file(folder / "model.safetensors")
    assert "autoencoder.components" in names and "flow.components" not in names
    back = load_checkpoint(folder)
    assert torch.equal(back.flow.components, bundle.flow.components)
    assert "regressed tokens" not in (folder / "README.md").read_text()  # its temperature is 1
    bundle.flow.components[0, 0] += 1
    with pytest.raises(ValueError, match="anchored in the components of another autoencoder"):
        save_checkpoint(tmp_path / "other", bundle)
    assert not (tmp_path / "other").exists()


def test_recorded_frames_give_the_recorded_tokens(bundle: Bundle, recorded: EpisodeDataset) -> None:
    tokens = bundle.encode_frames(recorded.frames(0, 0, 3))
    expected = bundle.standardize(bundle.references.tokens[:3])
    assert (tokens - expected).abs().max() < 0.02


def test_environments_share_one_loaded_checkpoint(copy: Path) -> None:
    first = load_checkpoint(copy)
    assert load_checkpoint(str(copy)) is first
    assert load_checkpoint(first) is first
    edit(copy, lambda config: config.update(steps=9))
    assert load_checkpoint(copy).config.steps == 9


def test_a_checkpoint_is_replaced_and_nothing_else(bundle: Bundle, copy: Path, tmp_path: Path) -> None:
    (copy / ".git").mkdir()
    (copy / ".git" / "HEAD").write_text("ref")
    (copy / "agent.zip").write_text("an agent")
    (copy / "references" / "notes.txt").write_text("notes")
    save_checkpoint(copy, replace(bundle, config=replace(bundle.config, steps=7)))
    assert load_checkpoint(copy).config.steps == 7
    assert [(copy / name).read_text() for name in (".git/HEAD", "agent.zip", "references/notes.txt")] == [
        "ref",
        "an agent",
        "notes",
    ]
    other = tmp_path / "notes"
    other.mkdir()
    for name in ("thesis.txt", "config.json"):
        (other / name).write_text("years of work")
        with pytest.raises(FileExistsError, match=r"is not empty \(.*\) and no checkpoint.*another folder"):
            save_checkpoint(other, bundle)
    assert sorted(path.name for path in other.iterdir()) == ["config.json", "thesis.txt"]


def test_a_checkpoint_of_before_there_were_manifests_is_replaced(bundle: Bundle, copy: Path) -> None:
    (copy / MANIFEST).unlink()
    edit(copy, lambda config: None)  # it had no digest either
    (copy / "agent.zip").write_text("an agent")
    changed = replace(bundle, config=replace(bundle.config, steps=7))
    save_checkpoint(copy, changed)
    assert load_checkpoint(copy).config.steps == 7 and (copy / "agent.zip").read_text() == "an agent"
    save_checkpoint(copy, bundle)  # it has a manifest now
    assert load_checkpoint(copy).config == bundle.config

    (copy / MANIFEST).unlink()
    (copy / "README.md").write_text("my own words")
    with pytest.raises(FileExistsError, match=r"README.md is in the way.*move it"):
        save_checkpoint(copy, changed)
    assert (copy / "README.md").read_text() == "my own words" and load_checkpoint(copy).config == bundle.config
    (copy / "README.md").unlink()
    save_checkpoint(copy, changed)
    assert load_checkpoint(copy).config.steps == 7


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "encoder.safetensors", "references/episodes"])
def test_a_file_that_no_configuration_names_is_kept(bundle: Bundle, copy: Path, name: str) -> None:
    (copy / MANIFEST).unlink()
    path = copy / (f"{name}.safetensors" if name.startswith("references") else name)
    if name.startswith("encoder"):  # whole, but not the checkpoint's
        edit(copy, lambda config: config["files"].pop("encoder.safetensors"))
    else:
        path.write_bytes(path.read_bytes() + b" ")
        if name == "config.json":
            write_json(path, {**read_json(path), "steps": 9})
    before = {each: each.read_bytes() for each in copy.rglob("*") if each.is_file()}
    with pytest.raises(FileExistsError, match=r"no checkpoint that|encoder.safetensors is in the way"):
        save_checkpoint(copy, bundle)
    assert {each: each.read_bytes() for each in copy.rglob("*") if each.is_file()} == before


@pytest.mark.parametrize("name", ["config.json", "README.md", "model.safetensors"])
def test_a_file_that_was_edited_is_not_replaced(bundle: Bundle, copy: Path, name: str) -> None:
    content = (copy / name).read_bytes() + b" "
    (copy / name).write_bytes(content)
    with pytest.raises(FileExistsError, match=f"{name} was changed since `rla-gym export` wrote it.*move it, or"):
        save_checkpoint(copy, bundle)
    assert (copy / name).read_bytes() == content


def test_a_checkpoint_whose_export_was_killed_after_its_configuration_is_the_new_one(
    bundle: Bundle, copy: Path, tmp_path: Path
) -> None:
    """`tests/utils/test_outputs.py` kills at every step; here a reader meets one of them."""
    new = save_checkpoint(tmp_path / "new", replace(bundle, mean=bundle.mean + 1))
    (copy / ".rla_gym.new").mkdir()
    (new / "model.safetensors").rename(copy / ".rla_gym.new" / "model.safetensors")
    (new / "config.json").rename(copy / "config.json")
    assert torch.equal(load_checkpoint(copy).mean, bundle.mean + 1)


def test_files_of_a_checkpoint_are_readable_as_the_umask_allows(checkpoint: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    files = [path for path in checkpoint.rglob("*") if path.is_file()]
    assert len(files) == 6 and {path.stat().st_mode & 0o777 for path in files} == {0o666 & ~umask}


def test_a_failed_save_leaves_the_old_one(bundle: Bundle, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sha256_file(copy / "config.json")

    def full_disk(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(module, "write_json", full_disk)
    with pytest.raises(OSError, match="disk is full"):
        save_checkpoint(copy, bundle)
    assert sha256_file(copy / "config.json") == before
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_a_missing_tensor_is_named(copy: Path) -> None:
    rewrite_model(copy, lambda tensors: tensors.pop("flow.flow_out_proj.weight"))
    with pytest.raises(KeyError, match="flow.flow_out_proj.weight"):
        load_checkpoint(copy)


def test_a_number_that_was_changed_is_found(copy: Path) -> None:
    text = (copy / "config.json").read_text()
    assert '"heads": 4' in text
    (copy / "config.json").write_text(text.replace('"heads": 4', '"heads": 2'))
    with pytest.raises(ValueError, match="config.json was damaged or edited after it was written.*remove that entry"):
        load_checkpoint(copy)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda config: config.update(grid=[8, 10**9]), "config.json: grid is .8, 1000000000., expected 1 to 112"),
        (lambda config: config.update(chunk="4"), "config.json: chunk is '4', expected an integer"),
        (
            lambda config: config["flow"].update(width=10**9),
            "config.json: flow: width is 1000000000, expected 1 to 32768",
        ),
        (lambda config: config["flow"].update(width=30000), "flow.*has shape .*the configuration asks for .*30000"),
        (lambda config: config["flow"].update(flow_blocks=200), "lacks the tensor 'flow.flow_blocks"),
        (lambda config: config["flow"].update(robots={"a.b": 2}), "robots has 'a.b': 2, expected ids"),
        (lambda config: config.update(action_high=[1.0]), "config.json: action_low .* as many finite bounds"),
        (lambda config: config["reward"].update(metric="l3"), "reward.metric is 'l3', expected one of l1"),
        (lambda config: config.update(image_decoder=None), "tensors of no part in the configuration: image_decoder"),
        (
            lambda config: config["files"].update({"model.safetensors": 3}),
            "files.model.safetensors is 3, expected an object",
        ),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_before_anything_is_built(
    copy: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    edit(copy, change)
    with pytest.raises((ValueError, KeyError), match=said):
        load_checkpoint(copy)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "flow.flow_out_proj.bias",
            float("nan"),
            "model.safetensors: the tensor 'flow.flow_out_proj.bias' holds numbers",
        ),
        ("stats.std", 0.0, "'stats.std' has an entry of 0 or less"),
        ("flow.latent_scale", -1.0, "'flow.latent_scale' has an entry of 0 or less"),
    ],
)
def test_tensors_that_no_training_gives_are_refused(copy: Path, name: str, value: float, said: str) -> None:
    rewrite_model(copy, lambda tensors: tensors.update({name: torch.full_like(tensors[name], value)}))
    with pytest.raises(ValueError, match=said):
        load_checkpoint(copy)


def test_a_link_out_of_the_folder_is_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "model.safetensors").rename(tmp_path / "elsewhere")
    (copy / "model.safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="model.safetensors is a link to .*elsewhere, outside"):
        load_checkpoint(copy)


def test_missing_statistics_are_named(copy: Path) -> None:
    rewrite_model(copy, lambda tensors: tensors.pop("stats.proprio_std"))
    with pytest.raises(KeyError, match="stats.proprio_std"):
        load_checkpoint(copy)


def test_a_tensor_of_another_shape_is_named(copy: Path) -> None:
    rewrite_model(copy, lambda tensors: tensors.update({"features.input.bias": torch.zeros(3)}))
    with pytest.raises(ValueError, match=r"features.input.bias.*\(3,\)"):
        load_checkpoint(copy)


@pytest.mark.parametrize("name", ["model.safetensors", "references/episodes.safetensors", "encoder.safetensors"])
def test_damaged_files_are_refused(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[-1] ^= 1
    (copy / name).write_bytes(bytes(data))
    with pytest.raises(ValueError, match="SHA-256"):
        load_checkpoint(copy)
    (copy / name).write_bytes(bytes(data[:-100]))
    with pytest.raises(ValueError, match="cut off"):
        load_checkpoint(copy)
    (copy / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        load_checkpoint(copy)


def test_a_newer_schema_asks_for_an_upgrade(copy: Path) -> None:
    edit(copy, lambda config: config.update(schema=module.SCHEMA + 1))
    with pytest.raises(ValueError, match="upgrade rla_gym"):
        load_checkpoint(copy)


def test_unknown_and_missing_entries_are_named(copy: Path) -> None:
    edit(copy, lambda config: config["flow"].update(colour="red"))
    with pytest.raises(ValueError, match="flow.colour"):
        load_checkpoint(copy)
    edit(copy, lambda config: (config["flow"].pop("colour"), config.pop("grid")))
    with pytest.raises(ValueError, match="grid"):
        load_checkpoint(copy)


def test_cut_off_json_is_refused(copy: Path) -> None:
    text = (copy / "config.json").read_text()
    (copy / "config.json").write_text(text[: len(text) // 2])
    with pytest.raises(ValueError, match="not valid JSON"):
        load_checkpoint(copy)
    (copy / "config.json").write_text(json.dumps({"weights": 3}))
    with pytest.raises(ValueError, match="schema"):
        load_checkpoint(copy)


@pytest.mark.parametrize("name", ["model.pt", "model.ckpt", "model.pkl"])
def test_pickles_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match="pickle"):
        load_checkpoint(tmp_path / name)


def test_a_pickle_under_the_name_of_safetensors_is_refused(copy: Path) -> None:
    """Whatever the hashes say: nothing that was pickled is ever run."""
    path = copy / "model.safetensors"
    torch.save({"flow.flow_out_proj.weight": torch.zeros(2)}, path)
    files = {"sha256": sha256_file(path), "bytes": path.stat().st_size}
    edit(copy, lambda config: config["files"].update({"model.safetensors": files}))
    with pytest.raises(ValueError, match="model.safetensors is no whole safetensors file"):
        load_checkpoint(copy)


def test_unknown_names_list_what_there_is(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "BUILT_IN", checkpoint.parent)
    assert find_checkpoint("small") == checkpoint.resolve()
    for name in ("pusher-cube", "owner/name"):
        with pytest.raises(FileNotFoundError, match="small.*owner/name@revision"):
            find_checkpoint(name)
    with pytest.raises(FileNotFoundError, match="config.json"):
        find_checkpoint(tmp_path)
    with pytest.raises(ValueError, match="is a file"):
        find_checkpoint(checkpoint / "model.safetensors")
    (tmp_path / "small").mkdir()  # such as a data set of that name
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint("small") == checkpoint.resolve()


def test_a_hub_id_offline_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("owner/name@v1", "owner/name@", "ow ner/name@v1"):
        with pytest.raises(ConnectionError, match=rf"{name}.*Go online.*path of a.*built-in ones are push-cube"):
            load_checkpoint(name)


def test_a_hub_id_in_the_cache_needs_no_connection(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's cache holds a repository as `snapshots/<commit>`, and the commit of a revision in `refs`."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "0123456789" * 4
    for repository in ("models--owner--name", "models--owner--other"):
        (tmp_path / repository / "refs").mkdir(parents=True)
        (tmp_path / repository / "refs" / "v1").write_text(commit)
    shutil.copytree(checkpoint, tmp_path / "models--owner--name" / "snapshots" / commit)
    assert load_checkpoint("owner/name@v1").config.name == "small"
    (tmp_path / "models--owner--other" / "snapshots" / commit).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="'owner/other@v1' holds no config.json"):
        load_checkpoint("owner/other@v1")


def test_another_encoder_is_refused(bundle: Bundle) -> None:
    from rla_gym.models.encoder import load_encoder

    other = load_encoder("vit_tiny_patch16_224", (112, 112), layer=1, weights="random:1")
    with pytest.raises(ValueError, match="was made with encoder"):
        bundle.use_encoder(other)


def test_actions_survive_scaling(bundle: Bundle) -> None:
    actions = bundle.references.actions.numpy()
    assert np.array_equal(bundle.unscale_actions(bundle.scale_actions(actions)), actions)


def test_where_no_reference_succeeded_all_are_dreamed_from(bundle: Bundle) -> None:
    never = replace(bundle.references, successes=torch.zeros_like(bundle.references.successes))
    assert never.select("train").tolist() == bundle.references.select("train", successful=False).tolist()
    env = RLAWorldEnv(replace(bundle, references=never, _copies={}))
    env.reset(seed=0)
    assert np.isfinite(env.step(np.zeros(env.action_space.shape, np.float32))[1])


def test_selecting_references(bundle: Bundle) -> None:
    references = bundle.references
    assert references.select("all", successful=False).tolist() == list(range(len(references)))
    assert references.select("all").tolist() == np.flatnonzero(references.successes.numpy()).tolist()
    train = references.select("train", successful=False)
    assert (references.parts[train] == 0).all() and len(train)
    for part in ("validation", "test"):
        if not (references.parts == ("train", "validation", "test").index(part)).any():
            with pytest.raises(ValueError, match="choose another part"):
                references.select(part)
