"""Safetensors files that are read with checks: the header before anything is allocated, then content and fit."""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from rla_gym.utils.files import parse_json

DIGEST = "sha256"
"""Entry of the metadata that `with_digest` adds."""
TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
DRAWING = ("normal_", "uniform_", "erfinv_", "clamp_")
"""Operations in place of which first weights are drawn; none changes a shape."""
LARGEST_HEADER = 8 << 20
MOST_AXES = 8


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file whose metadata has the SHA-256 of its content; `path` is the caller's to rename.

    The same tensors and metadata give the same bytes.

    Args:
        tensors: contiguous, on the CPU, none sharing memory with another.
    """
    from safetensors.torch import save_file

    extra = dict(metadata or {})
    save_file(dict(tensors), str(path), metadata={**extra, DIGEST: tensors_digest(tensors, extra)})
    _sort_metadata(Path(path))


def _sort_metadata(path: Path) -> None:
    """Put the metadata in the order of its names: safetensors writes it in another one each time."""
    with path.open("r+b") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
        metadata = dict(sorted(header.pop("__metadata__").items()))
        text = json.dumps({"__metadata__": metadata, **header}, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) > length:
            raise ValueError(f"the header of {path} has {len(text)} bytes in another order, and {length} in its own")
        file.seek(8)
        file.write(text.ljust(length))


def tensors_digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 over names, types, shapes and numbers, and the metadata but for the digest itself."""
    digest = hashlib.sha256()
    for name, text in sorted(metadata.items()):
        if name != DIGEST:
            digest.update(f"{name}={text}|".encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"|{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_tensors(path: str | Path, advice: str = "write or fetch it again") -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file, on the CPU; floats are finite, and a digest in the metadata fits.

    Raises:
        FileNotFoundError: no such regular file.
        ValueError: no whole safetensors file, a type that no file of rla_gym has, or damaged content.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    metadata = _check_header(path, advice)
    try:
        tensors = load_file(str(path))
    except SafetensorError as error:
        raise ValueError(f"{path} is no whole safetensors file ({error}): {advice}") from error
    check_finite(tensors, path, advice)
    if DIGEST in metadata and metadata[DIGEST] != tensors_digest(tensors, metadata):
        raise ValueError(f"{path} was damaged or changed after it was written: its SHA-256 is another; {advice}")
    return tensors, metadata


def check_finite(tensors: Mapping[str, Tensor], where: str | Path, advice: str) -> None:
    """A ValueError that names the first tensor with NaN or infinite numbers."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{where}: the tensor {name!r} holds numbers that are not finite; {advice}")


def check_file_inside(path: Path, folder: Path) -> None:
    """A ValueError unless `path` lies in `folder` after symlinks, or in the blobs of the hub's cache that it is of."""
    target, real = Path(os.path.realpath(path)), Path(os.path.realpath(folder))  # which give links in circles back
    inside = [real]
    if real.parent.name == "snapshots":
        inside.append(real.parent.parent / "blobs")
    if not any(target.is_relative_to(each) for each in inside):
        raise ValueError(f"{path} is a link to {target}, outside {folder}: put the file itself there")


def check_fit(
    wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], where: str | Path, advice: str, prefix: str = ""
) -> None:
    """Raise unless `found` has the tensors of the state `wanted`, by name, shape and kind of number, and no others.

    Raises:
        KeyError: a tensor is missing, by name.
        ValueError: a tensor too many, or of another shape, or integers for floats.
    """
    for name, value in wanted.items():
        if name not in found:
            raise KeyError(f"{where} lacks the tensor {prefix + name!r}: {advice}")
        tensor = found[name]
        if tensor.shape != value.shape:
            raise ValueError(
                f"{where}: {prefix + name!r} has shape {tuple(tensor.shape)}, the configuration asks for "
                f"{tuple(value.shape)}: {advice}"
            )
        if tensor.is_floating_point() != value.is_floating_point():
            raise ValueError(f"{where}: {prefix + name!r} is {tensor.dtype}, expected {value.dtype}: {advice}")
    extra = sorted(set(found) - set(wanted))
    if extra:
        names = ", ".join(prefix + name for name in extra[:5])
        raise ValueError(f"{where} has tensors that its configuration has no place for: {names}; {advice}")


def built(
    make: Callable[[], Any], found: Mapping[str, Tensor], where: str | Path, advice: str, prefix: str = ""
) -> Any:
    """The module that `make` makes, filled with `found`, and no memory taken before both are known to fit.

    Raises:
        KeyError, ValueError: as `check_fit`; or the configuration makes no module.
    """
    try:
        with shapes_only():
            skeleton = make()
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: no {prefix.rstrip('./') or 'model'} of this configuration ({error}); {advice}"
        ) from error
    check_fit(skeleton.state_dict(), found, where, advice, prefix)
    model = make()
    fill(model, found, where, advice, prefix)
    return model


def fill(model: nn.Module, found: Mapping[str, Tensor], where: str | Path, advice: str, prefix: str = "") -> None:
    """Load `found` into `model` after `check_fit`; floats of another width are converted."""
    wanted = model.state_dict()
    check_fit(wanted, found, where, advice, prefix)
    model.load_state_dict({name: found[name].to(value.dtype) for name, value in wanted.items()})


@contextmanager
def shapes_only() -> Iterator[None]:
    """Modules made in the block have the shapes of their tensors, but no numbers and no memory."""
    with torch.device("meta"), _NoDraws():
        yield


class _NoDraws(TorchFunctionMode):
    """Leaves out draws of first weights, for which torch imports its compiler on the device "meta" (seconds)."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in DRAWING:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def _check_header(path: Path, advice: str) -> dict[str, str]:
    """Metadata of a file whose header fits its size; errors as `read_tensors`."""
    if not path.is_file():
        what = "what is there is no regular file" if path.exists() else "there is none"
        raise FileNotFoundError(f"no file at {path}: expected a safetensors file, {what}; {advice}")
    broken = f"{path} is no whole safetensors file"
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > min(size - 8, LARGEST_HEADER):
            raise ValueError(f"{broken} (its header has {length} bytes, the file {size}): {advice}")
        text = file.read(length)
    try:
        header = parse_json(text.decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"{broken} (its header: {error}): {advice}") from error
    metadata = header.pop("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError(f"{broken} (its header is no object of tensors and texts): {advice}")
    for name, entry in header.items():
        wrong = _what_cannot_be(entry, size - 8 - length)
        if wrong is not None:
            raise ValueError(f"{broken} (the tensor {name[:60]!r} has {wrong}): {advice}")
    return metadata


def _what_cannot_be(entry: Any, size: int) -> str | None:
    """What is wrong with a tensor's entry in a file with `size` bytes of numbers, None where nothing is."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        return "another description than dtype, shape and data_offsets"
    if not (isinstance(entry["dtype"], str) and entry["dtype"] in TYPES):
        return f"the type {str(entry['dtype'])[:20]}, expected one of {', '.join(TYPES)}"
    shape, offsets = entry["shape"], entry["data_offsets"]
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or not all(type(each) is int and 0 <= each <= 1 << 40 for each in numbers):
            return "a shape or offsets that are no sizes"
    if len(offsets) != 2 or len(shape) > MOST_AXES or math.prod(each or 1 for each in shape) > 1 << 40:
        return f"{len(shape)} axes and {len(offsets)} offsets that are no sizes"
    needed = math.prod(shape) * TYPES[entry["dtype"]].itemsize
    if offsets[1] - offsets[0] != needed or offsets[1] > size:
        return f"offsets {offsets} for {needed} bytes in {size}"
    return None
