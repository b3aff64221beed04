"""A JSON object that carries its own SHA-256, so that a changed number is found that still has the right type.

A file without a digest is read as it is: older ones have none, and whoever edits one on purpose removes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rla_gym.utils.files import read_json

DIGEST = "digest"


def with_digest(entries: Mapping[str, Any]) -> dict[str, Any]:
    """`entries` and, as `digest`, the SHA-256 of their content, whatever their order and layout in a file."""
    return {**entries, DIGEST: digest_of(entries)}


def digest_of(entries: Mapping[str, Any]) -> str:
    """SHA-256 of what JSON makes of `entries`, a digest among them left out."""
    content = {name: value for name, value in entries.items() if name != DIGEST}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_object(path: str | Path) -> tuple[dict[str, Any], bool]:
    """The object in a JSON file without its digest, and whether that fits or is not there.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no JSON, or no object.
    """
    found = read_json(path)
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds {type(found).__name__}, expected a JSON object: write or fetch it again")
    intact = DIGEST not in found or found[DIGEST] == digest_of(found)
    found.pop(DIGEST, None)
    return found, intact


def check_intact(path: str | Path, intact: bool, advice: str = "write or fetch it again") -> None:
    """Raise the ValueError of an object that is not what was written; after other checks, which say more."""
    if not intact:
        raise ValueError(
            f"{path} was damaged or edited after it was written: its content does not have the SHA-256 in its entry "
            f"{DIGEST!r}; {advice}, or, if you edited it on purpose, remove that entry"
        )
