"""Mutations of files: each a function of a folder, one of its files and a generator; signed ones make hashes fit again.

A mutation without signing is what a disk, a copy or an editor does; with signing it is what a program with a bug, or
somebody who wants harm, writes: hashes and digests fit, and the checks behind them have to do the work.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from rla_gym.utils.digests import with_digest
from rla_gym.utils.files import sha256_file

Mutation = Callable[[Path, Generator], None]
HUGE = (2**31, 2**53, 2**63 - 1, 2**63, 10**30, 10**400)


def flip_bits(path: Path, rng: Generator) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(int(rng.integers(1, 4))):
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(bytes(data))


def flip_head(path: Path, rng: Generator) -> None:
    """Bits of the first kilobyte, where headers are."""
    data = bytearray(path.read_bytes())
    data[int(rng.integers(min(len(data), 1024)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(bytes(data))


def truncate(path: Path, rng: Generator) -> None:
    os.truncate(path, int(rng.integers(path.stat().st_size)))


def zeros(path: Path, rng: Generator) -> None:
    data = bytearray(path.read_bytes())
    start, length = int(rng.integers(len(data))), int(rng.integers(1, 512))
    data[start : start + length] = bytes(len(data[start : start + length]))
    path.write_bytes(bytes(data))


def append(path: Path, rng: Generator) -> None:
    path.write_bytes(path.read_bytes() + rng.bytes(int(rng.integers(1, 200))))


def swap(path: Path, rng: Generator) -> None:
    """The content of another file of the folder."""
    others = [each for each in sorted(path.parent.rglob("*")) if each.is_file() and each != path]
    if others:
        shutil.copyfile(others[int(rng.integers(len(others)))], path)
    else:
        path.write_bytes(b"")


def special(path: Path, rng: Generator) -> None:
    """A link out of the folder, a link to a device, a pipe, a folder, or nothing in its place."""
    kind = int(rng.integers(7))
    if kind == 0:
        outside = path.parent.parent / f"outside-{os.getpid()}"
        shutil.copyfile(path, outside)
        path.unlink()
        path.symlink_to(outside)
        return
    path.unlink()
    if kind < 4:
        path.symlink_to(("/dev/zero", "/dev/null", str(path))[kind - 1])
    elif kind == 4:
        os.mkfifo(path)
    elif kind == 5:
        path.mkdir()


def json_value(path: Path, rng: Generator) -> None:
    """One value of a JSON file replaced by one of another type, size or sign."""
    content = json.loads(path.read_text())
    holder, key = _somewhere(content, rng)
    old = holder[key]
    choices: list[Any] = [None, True, "x", "", "x" * 5000, -1, 0, 0.5, -(2.0**40), [], {}, [[1]], {"a": 1}, old, [old]]
    choices += HUGE
    if isinstance(old, int | float) and not isinstance(old, bool):
        choices += [-old, old + 1, old * 1000, old / 3, str(old), float(old)]
    if isinstance(old, list):
        choices += [old[1:], old + old, old[::-1]]
    if isinstance(old, str):
        choices += [old + "x", old[:-1], f"../{old}", "\x00", "/etc/passwd", old.upper()]
    holder[key] = choices[int(rng.integers(len(choices)))]
    path.write_text(json.dumps(content))


def json_keys(path: Path, rng: Generator) -> None:
    """An entry too few, too many, or of another name."""
    content = json.loads(path.read_text())
    mappings = [each for each in _containers(content) if isinstance(each, dict) and each]
    mapping = mappings[int(rng.integers(len(mappings)))]
    key = sorted(mapping)[int(rng.integers(len(mapping)))]
    kind = int(rng.integers(3))
    if kind == 0:
        del mapping[key]
    elif kind == 1:
        mapping[("extra", "", "__class__", "steps\n", "a.b")[int(rng.integers(5))]] = mapping[key]
    else:
        mapping[f"{key}_"] = mapping.pop(key)
    path.write_text(json.dumps(content))


def json_text(path: Path, rng: Generator) -> None:
    """What no JSON writer writes: entries twice, depth, NaN, half surrogates, another encoding, megabytes."""
    text = path.read_text()
    inner = text.strip()[1:-1]
    depth = int(rng.integers(20, 200_000))
    texts: list[str | bytes] = [
        "{" + inner + "," + inner + "}",
        '{"deep": ' + "[" * depth + "]" * depth + "," + inner + "}",
        '{"deep": ' + '{"a":' * depth + "1" + "}" * depth + "," + inner + "}",
        '{"nan": NaN,' + inner + "}",
        '{"big": 1e999,' + inner + "}",
        '{"digits": ' + "9" * 5000 + "," + inner + "}",
        '{"half": "\\udc80",' + inner + "}",
        text.encode("utf-16"),
        "\ufeff" + text,
        "null",
        "[]",
        '"text"',
        "[" + "0," * 400_000 + "0]",
        '{"wide": [' + "[]," * 4_000_000 + "0]," + inner + "}",
        '{"long": "' + "x" * (1 << 22) + '",' + inner + "}",
    ]
    chosen = texts[int(rng.integers(len(texts)))]
    path.write_bytes(chosen if isinstance(chosen, bytes) else chosen.encode("utf-8", errors="surrogatepass"))


def tensor_header(path: Path, rng: Generator) -> None:
    """One entry of a safetensors header: type, shape, offsets, name or metadata."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    names = [name for name in header if name != "__metadata__"]
    name = names[int(rng.integers(len(names)))]
    kind = int(rng.integers(8))
    if kind == 0:
        header[name]["dtype"] = ("F64", "F8_E4M3", "I64", "C64", "", "U16", "BOOL")[int(rng.integers(7))]
    elif kind == 1:
        header[name]["shape"] = [*header[name]["shape"], int(HUGE[int(rng.integers(4))])]
    elif kind == 2:
        header[name]["shape"] = [-1 * each for each in header[name]["shape"]] or [0]
    elif kind == 3:
        header[name]["data_offsets"][int(rng.integers(2))] += int(rng.integers(-8, 2**40))
    elif kind == 4:
        del header[name]
    elif kind == 5:
        header[f"{name}_"] = header.pop(name)
    elif kind == 6:
        header["__metadata__"] = ({}, {"a": 1}, [], "x", {"config": "{}"}, {"config": "[" * 9000})[int(rng.integers(6))]
    else:
        header[name] = None
    text = json.dumps(header).encode()
    if rng.integers(10) == 0:
        text = b" " * (1 << 20) + text
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def tensor_values(path: Path, rng: Generator) -> None:
    """Numbers, types, shapes and names of tensors, in a file that is whole."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file

    from rla_gym.utils.tensors import save_tensors

    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    with safe_open(str(path), framework="pt") as file:
        metadata = dict(file.metadata() or {})
    names = sorted(tensors)
    name = names[int(rng.integers(len(names)))]
    tensor = tensors[name]
    kind = int(rng.integers(9))
    if kind < 3 and tensor.numel():
        values = (float("nan"), float("inf"), -1.0, 0.0, 1e30, -(2**40), 2**40)
        flat = tensor.flatten()
        wanted = values[int(rng.integers(len(values)))]
        limits = torch.finfo(tensor.dtype) if tensor.is_floating_point() else None
        if limits is not None:
            flat[int(rng.integers(len(flat)))] = wanted
        elif tensor.dtype != torch.bool:
            low, high = _limits(tensor.dtype)
            flat[int(rng.integers(len(flat)))] = min(max(int(wanted), low), high) if np.isfinite(wanted) else 7
        tensors[name] = flat.view(tensor.shape)
    elif kind == 3:
        tensors[name] = tensor.double() if tensor.is_floating_point() else tensor.float()
    elif kind == 4:
        tensors[name] = tensor.long() if tensor.is_floating_point() else tensor.to(torch.int16)
    elif kind == 5:
        tensors[name] = tensor.unsqueeze(0) if rng.integers(2) else tensor.flatten()[:-1]
    elif kind == 6:
        del tensors[name]
    elif kind == 7:
        tensors["extra"] = torch.zeros(3)
    else:
        tensors[name] = tensor.new_zeros((0, *tensor.shape[1:])) if tensor.ndim else tensor.view(1)
    save_tensors(path, {key: value.contiguous() for key, value in tensors.items()}, metadata)


def array_file(path: Path, rng: Generator) -> None:
    """An .npy file of another type, order, shape or header; objects would run code when unpickled."""
    array = np.load(path)
    made = _odd_array(array, rng)
    path.write_bytes(made)


def array_archive(path: Path, rng: Generator) -> None:
    """An .npz file with members of another making, compressed without end, twice, or missing."""
    with np.load(path) as found:
        arrays = {name: found[name] for name in found.files}
    name = sorted(arrays)[int(rng.integers(len(arrays)))]
    kind = int(rng.integers(6))
    members = {f"{each}.npy": _npy(array) for each, array in arrays.items()}
    compression = zipfile.ZIP_STORED
    if kind == 0:
        members[f"{name}.npy"] = _odd_array(arrays[name], rng)
    elif kind == 1:  # some hundred kilobytes that are 2 GB
        members[f"{name}.npy"] = _npy_header((len(arrays[name]), 1 << 12), "<f4") + bytes(1 << 26)
        compression = zipfile.ZIP_DEFLATED
    elif kind == 2:
        del members[f"{name}.npy"]
    elif kind == 3:
        members["extra.npy"] = members[f"{name}.npy"]
    elif kind == 4:
        compression = (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)[int(rng.integers(3))]
    else:
        members[f"../{name}.npy"] = members.pop(f"{name}.npy")
    with zipfile.ZipFile(path, "w", compression) as archive:
        for each, content in members.items():
            archive.writestr(each, content)


def _limits(dtype: Any) -> tuple[int, int]:
    import torch

    return torch.iinfo(dtype).min, torch.iinfo(dtype).max


def _odd_array(array: np.ndarray, rng: Generator) -> bytes:
    kind = int(rng.integers(9))
    bad = array.copy()
    if bad.size:
        bad.flat[int(rng.integers(bad.size))] = (np.nan, np.inf, -np.inf)[int(rng.integers(3))]
    objects = np.empty(2, object)
    objects[0] = print
    made: list[Callable[[], bytes]] = [
        lambda: _npy(np.asfortranarray(array)),
        lambda: _npy(array.astype(np.float64)),
        lambda: _npy(array.astype(np.int32)),
        lambda: _npy(array[:-1]),
        lambda: _npy(bad),
        lambda: _npy(objects, allow_pickle=True),
        lambda: _npy_header((2**40, 2**20), "<f2") + array.tobytes(),
        lambda: _npy_header(array.shape, ("|V2", "<M8[s]", "<U1000000000", "<c16", "<f4,<f4")[int(rng.integers(5))]),
        lambda: b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
    ]
    return made[kind]()


def _npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def _npy_header(shape: tuple[int, ...], descr: str) -> bytes:
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    text += b" " * (118 - len(text)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def _containers(value: Any) -> list[Any]:
    found = [value] if isinstance(value, dict | list) else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [*found, *(each for item in inner for each in _containers(item))]


def _somewhere(content: Any, rng: Generator) -> tuple[Any, Any]:
    """A container of a JSON value and a key of it; each container is as likely, however long its lists are."""
    holders = [each for each in _containers(content) if each]
    holder = holders[int(rng.integers(len(holders)))]
    if isinstance(holder, list):
        return holder, int(rng.integers(len(holder)))
    return holder, sorted(holder)[int(rng.integers(len(holder)))]


BYTES: tuple[Mutation, ...] = (flip_bits, flip_head, truncate, zeros, append, swap, special)
OF_SUFFIX: dict[str, tuple[Mutation, ...]] = {
    ".json": (json_value, json_value, json_keys, json_text),
    ".safetensors": (tensor_header, tensor_values, tensor_values),
    ".npy": (array_file,),
    ".npz": (array_archive,),
}


def sign(folder: Path) -> None:
    """Make every hash and digest in a folder's JSON files fit what lies there now; what is no JSON stays."""
    named = {
        "config.json": ("files", folder),
        "index.json": ("files", folder),
        **{f"{path.name}/state.json": ("tensors", path) for path in folder.glob("step_*")},
    }
    for name, (entry, place) in named.items():
        path = folder / name
        content = _object(path)
        if content is None:
            continue
        files = content.get(entry)
        if isinstance(files, dict):
            described = {"state.safetensors": files} if entry == "tensors" else files
            for file, known in described.items():
                if isinstance(known, dict) and isinstance(file, str) and _is_plain(place, file):
                    known["sha256"] = sha256_file(place / file)
                    known["bytes"] = (place / file).stat().st_size
        _write(path, content)
    for name in ("latest.json", "card.json", "journal.json"):
        content = _object(folder / name)
        if content is not None:
            _write(folder / name, content)


def _is_plain(place: Path, name: str) -> bool:
    try:
        return (place / name).is_file()
    except (OSError, ValueError):
        return False


def _object(path: Path) -> dict[str, Any] | None:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > 1 << 20:
        return None
    try:
        found = json.loads(path.read_text())
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "digest" in found else None


def _write(path: Path, content: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(with_digest(content)))
    except ValueError:  # NaN, which no digest is of
        path.write_text(json.dumps(content))
