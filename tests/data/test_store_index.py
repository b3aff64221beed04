"""A token store's files are those that were written, or an error names what is not."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rla_gym.data.store_index import map_tokens, read_arrays, read_index
from rla_gym.data.tokens import TokenStore, encode_dataset
from rla_gym.utils.digests import with_digest
from rla_gym.utils.files import read_json, write_json


@pytest.fixture
def store(dataset: Any, encoder: Any, tmp_path: Path) -> TokenStore:
    return encode_dataset(dataset, encoder, tmp_path / "store", batch=50, progress=False)


GOOD: dict[str, Any] = {
    "info": {
        "schema": 1,
        "dataset": "0",
        "encoder": {"name": "e", "hash": "1"},
        "grid": [1, 2],
        "task": "t",
        "spec": {},
    },
    "shape": [5, 2, 3],
    "lengths": [2, 3],
    "sources": ["a", "b"],
    "successes": [True, False],
    "seeds": [0, 1],
    "mean": [0.0, 0.0, 0.0],
    "std": [1.0, 1.0, 1.0],
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda index: index.update(lengths=[2, 4]), "lengths are no frames .* add up to the 5 rows"),
        (lambda index: index.update(lengths=[-1, 6]), "lengths are no frames"),
        (lambda index: index.update(lengths=["2", 3]), r"lengths\[0\] is '2', expected an integer"),
        (lambda index: index.update(seeds=[0]), "seeds has 1 entries for 2 episodes"),
        (lambda index: index.update(std=[1.0, 0.0, 1.0]), "std over 0"),
        (lambda index: index.update(mean=[1e300, 0.0, 0.0]), "numbers of float32"),
        (lambda index: index.update(shape=[5, 2, 2**60]), r"shape is \(5, 2, 1152921504606846976\)"),
        (lambda index: index["info"].update(grid=[2, 2]), r"info.grid is \(2, 2\), the tokens have 2 patches"),
        (lambda index: index["info"].update(pca={"components": 2, "explained": 1}), "info.pca.components is 2"),
        (lambda index: index["info"].update(schema=2), "schema version is 2, expected 1"),
        (lambda index: index.pop("info"), "schema version is None"),
    ],
)
def test_an_index_that_cannot_be_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], Any], said: str) -> None:
    index = {**GOOD, "info": dict(GOOD["info"])}
    write_json(tmp_path / "index.json", with_digest(index))
    assert read_index(tmp_path / "index.json")["lengths"] == [2, 3]
    change(index)
    write_json(tmp_path / "index.json", with_digest(index))
    with pytest.raises(ValueError, match=said):
        read_index(tmp_path / "index.json")


def test_tokens_of_another_making_are_refused(tmp_path: Path) -> None:
    path, shape = tmp_path / "tokens.npy", (5, 2, 3)
    np.save(path, np.zeros(shape, np.float16))
    assert map_tokens(path, shape).shape == shape
    for wrong, said in (
        (np.zeros(shape, np.float16, order="F"), "in Fortran order"),
        (np.zeros(shape, np.float32), "holds float32"),
        (np.zeros((5, 2, 4), np.float16), r"\(5, 2, 4\), expected float16 \(5, 2, 3\)"),
        (np.full(shape, np.inf, np.float16), "not finite"),
    ):
        np.save(path, wrong)
        with pytest.raises(ValueError, match=said):
            map_tokens(path, shape)
    np.save(path, np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="holds object, expected plain floats"):
        map_tokens(path, shape)


def test_arrays_are_read_only_if_they_are_what_a_store_has(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    arrays = {name: np.zeros((5, 1), np.float32) for name in ("actions", "proprio", "objects", "states")}
    np.savez(path, **arrays)
    assert read_arrays(path, 5)["actions"].shape == (5, 1)
    for change, said in (
        ({"actions": np.zeros((4, 1), np.float32)}, r"actions is float32 \(4, 1\), expected float32 \(5, ...\)"),
        ({"actions": np.full((5, 1), np.nan, np.float32)}, "actions hold numbers that are not finite"),
        ({"more": np.zeros(1)}, "more.npy"),
    ):
        np.savez(path, **{**arrays, **change})
        with pytest.raises(ValueError, match=said):
            read_arrays(path, 5)
    np.savez_compressed(path, **arrays)
    with pytest.raises(ValueError, match="actions is compressed, which no token store is"):
        read_arrays(path, 5)
    with zipfile.ZipFile(path, "w") as archive:
        for name in arrays:
            archive.writestr(f"{name}.npy", b"nothing")
    with pytest.raises(ValueError, match="no header of an array"):
        read_arrays(path, 5)


@pytest.mark.parametrize("name", ["tokens.npy", "arrays.npz", "index.json"])
def test_a_flipped_bit_is_found(store: TokenStore, name: str) -> None:
    data = bytearray((store.path / name).read_bytes())
    at = data.index(b'"seeds": [\n    ') + 15 if name == "index.json" else len(data) // 2
    data[at] ^= 1
    (store.path / name).write_bytes(bytes(data))
    with pytest.raises(ValueError, match=f"{name} (was damaged|is cut off)"):
        TokenStore.open(store.path)


def test_motion_that_was_damaged_is_computed_anew(store: TokenStore) -> None:
    expected = store.motion.copy()
    data = bytearray((store.path / "motion.safetensors").read_bytes())
    data[-2] ^= 1
    (store.path / "motion.safetensors").write_bytes(bytes(data))
    assert np.array_equal(TokenStore.open(store.path).motion, expected)
    assert read_json(store.path / "index.json")["files"]["tokens.npy"]["bytes"] > 0
