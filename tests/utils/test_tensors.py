"""Safetensors files are checked before anything is allocated, and their content against what was written."""

from __future__ import annotations

import errno
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from rla_gym.learning.kept import Kept
from rla_gym.models.encoder import Encoder
from rla_gym.models.encoder_weights import find_weights
from rla_gym.utils.tensors import built, check_file_inside, check_fit, read_tensors, save_tensors


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_tensors(tmp_path / "a.safetensors", {"w": torch.arange(6.0).view(2, 3), "b": torch.tensor(True)}, {"x": "1"})
    return tmp_path / "a.safetensors"


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def test_what_is_saved_comes_back(path: Path) -> None:
    tensors, metadata = read_tensors(path)
    assert torch.equal(tensors["w"], torch.arange(6.0).view(2, 3)) and bool(tensors["b"]) and metadata["x"] == "1"


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    metadata = {name: f"{name} \u00e4\n\x01" for name in "zyxwvutsabc"}
    tensors = {"b": torch.zeros(3), "a": torch.ones(2, dtype=torch.int64)}
    for number, order in enumerate((sorted(metadata), list(metadata))):
        save_tensors(tmp_path / f"{number}", tensors, {name: metadata[name] for name in order})
    assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes()
    found, read = read_tensors(tmp_path / "0")
    assert read.items() > metadata.items() and torch.equal(found["a"], tensors["a"])


def test_a_flipped_bit_is_found(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match="a.safetensors was damaged or changed.*fetch it"):
        read_tensors(path, "fetch it")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda header: header["w"].update(dtype="F8_E4M3"), "'w' has the type F8_E4M3, expected one of F64"),
        (lambda header: header["w"].update(shape=[2, 2**62]), "shape or offsets that are no sizes"),
        (lambda header: header["w"].update(shape=[2**30, 2**30, 0]), "3 axes"),
        (lambda header: header["w"].update(shape=[2, -3]), "no sizes"),
        (lambda header: header["w"].update(shape=[2, 4]), "offsets .* for 32 bytes"),
        (lambda header: header.update(w=3), "another description"),
        (lambda header: header.update(__metadata__={"x": 3}), "no object of tensors and texts"),
        (lambda header: header.pop("b"), "no whole safetensors file"),
    ],
)
def test_headers_that_cannot_be_are_refused(path: Path, change: Callable[[dict[str, Any]], None], said: str) -> None:
    rewrite(path, change)
    with pytest.raises(ValueError, match=f"a.safetensors is no whole safetensors file.*{said}|{said}"):
        read_tensors(path)


def test_files_that_are_none_are_refused(path: Path, tmp_path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(ValueError, match="its header has 1152921504606846976 bytes, the file 10"):
        read_tensors(path)
    path.write_bytes(b"abc")
    with pytest.raises(ValueError, match="no whole safetensors file"):
        read_tensors(path)
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "nothing", "."):
        with pytest.raises(FileNotFoundError, match="expected a safetensors file"):
            read_tensors(tmp_path / name)
    save_file({"w": torch.tensor([float("inf")])}, path)
    with pytest.raises(ValueError, match="the tensor 'w' holds numbers that are not finite"):
        read_tensors(path)


@pytest.mark.parametrize(("number", "kind"), [(errno.EACCES, PermissionError), (errno.EAGAIN, BlockingIOError)])
def test_what_the_system_refuses_is_not_called_damaged(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[OSError]
) -> None:
    kept = Kept(tmp_path / "kept", {}, ["stage"])
    kept.save("stage", {}, {"w": torch.zeros(2)})

    def refuse(file: Any, *_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number), str(file))

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    readers: list[tuple[Callable[[], Any], Path]] = [
        (lambda: read_tensors(path), path),
        (lambda: Encoder.load(path), path),
        (lambda: find_weights("vit_tiny_patch16_224", str(path)), path),
        (lambda: kept.load("stage"), tmp_path / "kept" / "stage.safetensors"),
    ]
    for read, file in readers:
        with pytest.raises(kind) as error:
            read()
        assert error.value.errno == number and error.value.filename == str(file)


def test_links_may_lead_into_the_hubs_cache_only(tmp_path: Path) -> None:
    folder, blob = tmp_path / "snapshots" / "abc", tmp_path / "blobs" / "123"
    for place in (folder, blob.parent):
        place.mkdir(parents=True)
    blob.touch()
    (folder / "file").symlink_to(blob)
    check_file_inside(folder / "file", folder)
    (tmp_path / "other").touch()
    (folder / "out").symlink_to(tmp_path / "other")
    with pytest.raises(ValueError, match="is a link to .*other, outside"):
        check_file_inside(folder / "out", folder)


def test_a_module_is_made_only_if_its_tensors_fit() -> None:
    tensors = {"weight": torch.ones(2, 3, dtype=torch.float16), "bias": torch.zeros(2)}
    module = built(lambda: nn.Linear(3, 2), tensors, "a", "fetch it")
    assert module.weight.dtype == torch.float32 and bool((module.weight == 1).all())
    with pytest.raises(ValueError, match=r"a: 'm.weight' has shape \(2, 3\).*asks for \(1000000000, 1000000\): fetch"):
        built(lambda: nn.Linear(10**6, 10**9), tensors, "a", "fetch it", "m.")
    with pytest.raises(ValueError, match="a: no m of this configuration .*: fetch it|no m of this configuration"):
        built(lambda: nn.Linear(-1, 2), tensors, "a", "fetch it", "m.")
    with pytest.raises(KeyError, match="lacks the tensor 'bias'"):
        check_fit(nn.Linear(3, 2).state_dict(), {"weight": torch.ones(2, 3)}, "a", "fetch it")
    with pytest.raises(ValueError, match="is torch.int64, expected torch.float32"):
        check_fit({"w": torch.ones(1)}, {"w": torch.ones(1).long()}, "a", "fetch it")
    with pytest.raises(ValueError, match="no place for: x"):
        check_fit({}, {"x": torch.ones(1)}, "a", "fetch it")
