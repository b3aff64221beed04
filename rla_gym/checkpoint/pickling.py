"""Pickles that name a checkpoint's folder where they would otherwise hold its weights.

A bundle remembers what it was when it came from its folder, field by field. What is still so is left out of a pickle:
whoever loads it reads the folder through `load_checkpoint`, once a process, after comparing hashes. What was changed,
in place or by `dataclasses.replace`, travels as it is.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rla_gym.checkpoint.references import References
from rla_gym.utils.files import sha256_file

if TYPE_CHECKING:
    from rla_gym.checkpoint.bundle import Bundle

OWN = ("_copies", "_origin", "path")
"""Fields of a bundle that are not compared with its folder."""


@dataclass(frozen=True)
class Print:
    """What tells whether a value is still the same: its types and shapes, and a SHA-256 of its numbers."""

    outline: str
    content: str

    @classmethod
    def of(cls, value: Any) -> Print:
        """The print of `value`."""
        return cls(outline(value), content(value))

    def fits(self, value: Any) -> bool:
        """Whether `value` is what this was taken of; numbers are read only where types and shapes agree."""
        return self.outline == outline(value) and self.content == content(value)


@dataclass(frozen=True)
class Origin:
    """What a bundle was when it came from its folder: the hash of config.json, and a print of each field."""

    config: str
    prints: dict[str, Print]


def origin_of(bundle: Bundle) -> Origin | None:
    """The origin of a bundle that was just read from its `path`; None where there is no checkpoint."""
    config = _config_file(bundle)
    if config is None:
        return None
    values = {name: value for name, value in _values(bundle).items() if name != "_encoder"}
    return Origin(sha256_file(config), {name: Print.of(value) for name, value in values.items()})


def reduced(bundle: Bundle) -> tuple[Any, ...]:
    """What `Bundle.__reduce__` returns: the folder and what differs from it, or everything where there is no folder."""
    config, origin, values = _config_file(bundle), bundle._origin, _values(bundle)
    if config is None or origin is None or sha256_file(config) != origin.config:
        return _with_weights, ({**values, "path": bundle.path, "_origin": origin},)
    if values["_encoder"] is None:
        del values["_encoder"]  # read from the folder when it is first needed
    prints = origin.prints
    changes = {name: value for name, value in values.items() if name not in prints or not prints[name].fits(value)}
    return _from_folder, (str(config.parent), _built_in(config.parent), origin.config, str(bundle.device), changes)


def packed(state: dict[str, Any], bundle: Bundle) -> bytes:
    """`state` as a pickle in which the bundle and its parts are names, wherever in `state` they are."""
    file = io.BytesIO()
    _Packer(file, bundle).dump(state)
    return file.getvalue()


def unpacked(data: bytes, bundle: Bundle) -> dict[str, Any]:
    """The state that `packed` was given, with the parts of `bundle` in their places."""
    state: dict[str, Any] = _Unpacker(io.BytesIO(data), bundle).load()
    return state


def tensors_of(value: Any) -> dict[str, Tensor]:
    """Tensors of a tensor, module or references, by name; none of anything else."""
    if isinstance(value, Tensor):
        return {"": value}
    if isinstance(value, nn.Module):
        return dict([*value.named_parameters(), *value.named_buffers()])
    if isinstance(value, References):
        return {entry.name: getattr(value, entry.name) for entry in fields(value)}
    return {}


def outline(value: Any) -> str:
    """Type of `value`, with the names, types and shapes of its tensors, or all that it is where it has none."""
    if not isinstance(value, Tensor | nn.Module | References):
        return repr(value)
    shapes = [(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors_of(value).items()]
    return repr((type(value).__qualname__, getattr(value, "config", None), shapes))


def content(value: Any) -> str:
    """SHA-256 of the numbers in the tensors of `value`, read on the CPU."""
    digest = hashlib.sha256()
    for tensor in tensors_of(value).values():
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


class _Packer(pickle.Pickler):
    def __init__(self, file: io.BytesIO, bundle: Bundle) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        parts = {name: value for name, value in _values(bundle).items() if tensors_of(value)}
        self._names = {id(value): name for name, value in parts.items()} | {id(bundle): ""}

    def persistent_id(self, value: Any) -> str | None:
        return self._names.get(id(value))


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, bundle: Bundle) -> None:
        super().__init__(file)
        self._bundle = bundle

    def persistent_load(self, name: str) -> Any:
        return getattr(self._bundle, name) if name else self._bundle


def _values(bundle: Bundle) -> dict[str, Any]:
    assert is_dataclass(bundle)
    return {entry.name: getattr(bundle, entry.name) for entry in fields(bundle) if entry.name not in OWN}


def _config_file(bundle: Bundle) -> Path | None:
    """The configuration in the bundle's folder, if there is one."""
    from rla_gym.checkpoint.store import CONFIG

    file = None if bundle.path is None else bundle.path / CONFIG
    return file if file is not None and file.is_file() else None


def _built_in(folder: Path) -> str | None:
    """The built-in name of `folder`, which other machines know as well, if it has one."""
    from rla_gym.checkpoint.store import BUILT_IN, built_in_names

    known = folder.name in built_in_names() and folder == (BUILT_IN / folder.name).resolve()
    return folder.name if known else None


def _from_folder(path: str, built_in: str | None, config: str, device: str, changes: dict[str, Any]) -> Bundle:
    """The checkpoint at `path`, or where that is not there, the built-in one of that name, with `changes`.

    Raises:
        FileNotFoundError: there is no such checkpoint here.
        ValueError: it was exported anew since.
    """
    from rla_gym.checkpoint.store import BUILT_IN, CONFIG, load_checkpoint

    instead = "pickle dataclasses.replace(bundle, path=None), which takes its weights along"
    folder = Path(path)
    if not folder.is_dir() and built_in is not None:
        folder = BUILT_IN / built_in
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(
            f"what was pickled names the checkpoint folder {path} instead of holding its weights, and there is none "
            f"here: put it there, or {instead}"
        )
    found = sha256_file(folder / CONFIG)
    if found != config:
        raise ValueError(
            f"what was pickled names the checkpoint folder {path} with a {CONFIG} of SHA-256 {config[:12]}, here it is "
            f"{found[:12]}: another version of it; pickle again, or {instead}"
        )
    bundle = load_checkpoint(folder).to(device)
    return replace(bundle, **changes) if changes else bundle


def _with_weights(values: dict[str, Any]) -> Bundle:
    from rla_gym.checkpoint.bundle import Bundle

    return Bundle(**values)
