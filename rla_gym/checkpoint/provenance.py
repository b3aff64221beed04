"""Whether what a bundle holds is still what its checkpoint folder holds, field by field."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rla_gym.checkpoint.references import References
from rla_gym.checkpoint.resolve import CONFIG
from rla_gym.utils.files import sha256_file

if TYPE_CHECKING:
    from rla_gym.checkpoint.bundle import Bundle

OWN = ("_copies", "_origin", "path")
"""Fields of a bundle that are not compared with its folder."""


@dataclass(frozen=True)
class Fingerprint:
    """What tells whether a value is still the same: its types and shapes, and a SHA-256 of its numbers."""

    outline: str
    content: str

    @classmethod
    def of(cls, value: Any) -> Fingerprint:
        """The print of `value`."""
        return cls(outline(value), content(value))

    def fits(self, value: Any) -> bool:
        """Whether `value` is what this was taken of; numbers are read only where types and shapes agree."""
        return self.outline == outline(value) and self.content == content(value)


@dataclass(frozen=True)
class Provenance:
    """What a bundle was when it came from its folder: the hash of config.json, and a print of each field."""

    config: str
    prints: dict[str, Fingerprint]


def provenance_of(bundle: Bundle) -> Provenance | None:
    """The origin of a bundle that was just read from its `path`; None where there is no checkpoint."""
    config = config_file(bundle)
    if config is None:
        return None
    values = {name: value for name, value in field_values(bundle).items() if name != "_encoder"}
    return Provenance(sha256_file(config), {name: Fingerprint.of(value) for name, value in values.items()})


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


def field_values(bundle: Bundle) -> dict[str, Any]:
    assert is_dataclass(bundle)
    return {entry.name: getattr(bundle, entry.name) for entry in fields(bundle) if entry.name not in OWN}


def config_file(bundle: Bundle) -> Path | None:
    """The configuration in the bundle's folder, if there is one."""
    file = None if bundle.path is None else bundle.path / CONFIG
    return file if file is not None and file.is_file() else None
