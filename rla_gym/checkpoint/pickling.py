"""Pickles that name a checkpoint's folder where they would otherwise hold its weights.

A bundle remembers what it was when it came from its folder, field by field. What is still so is left out of a pickle:
whoever loads it reads the folder through `load_checkpoint`, once a process, after comparing hashes. What was changed,
in place or by `dataclasses.replace`, travels as it is.

Importing `rla_gym.checkpoint` registers this with `copyreg`, so that bundles know nothing of it.
"""

from __future__ import annotations

import copyreg
import io
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

from rla_gym.checkpoint import resolve
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.provenance import config_file, field_values, tensors_of
from rla_gym.checkpoint.resolve import CONFIG, built_in_names
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.utils.files import sha256_file


def reduced(bundle: Bundle) -> tuple[Any, ...]:
    """What `Bundle.__reduce__` returns: the folder and what differs from it, or everything where there is no folder."""
    config, origin, values = config_file(bundle), bundle._origin, field_values(bundle)
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


class _Packer(pickle.Pickler):
    def __init__(self, file: io.BytesIO, bundle: Bundle) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        parts = {name: value for name, value in field_values(bundle).items() if tensors_of(value)}
        self._names = {id(value): name for name, value in parts.items()} | {id(bundle): ""}

    def persistent_id(self, value: Any) -> str | None:
        return self._names.get(id(value))


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, bundle: Bundle) -> None:
        super().__init__(file)
        self._bundle = bundle

    def persistent_load(self, name: str) -> Any:
        return getattr(self._bundle, name) if name else self._bundle


def _built_in(folder: Path) -> str | None:
    """The built-in name of `folder`, which other machines know as well, if it has one."""
    known = folder.name in built_in_names() and folder == (resolve.BUILT_IN / folder.name).resolve()
    return folder.name if known else None


def _from_folder(path: str, built_in: str | None, config: str, device: str, changes: dict[str, Any]) -> Bundle:
    """The checkpoint at `path`, or where that is not there, the built-in one of that name, with `changes`.

    Raises:
        FileNotFoundError: there is no such checkpoint here.
        ValueError: it was exported anew since.
    """
    instead = "pickle dataclasses.replace(bundle, path=None), which takes its weights along"
    folder = Path(path)
    if not folder.is_dir() and built_in is not None:
        folder = resolve.BUILT_IN / built_in
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
    return Bundle(**values)


copyreg.pickle(Bundle, reduced)
