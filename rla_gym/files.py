"""Files written whole or not at all, and JSON read with errors that say what to do."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TEMPORARY = ".writing"  # part of every temporary name, so that leftovers of a killed process can be found
LARGEST_JSON = 16 << 20
"""Bytes: the index of some 300,000 episodes. Parsed, it takes up to 25 times as much memory."""
DEEPEST = 32
"""Levels of lists and objects in a JSON file; the cards of checkpoints have 6."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` at success, remove it at failure.

    The temporary name carries the process id and keeps the suffix of `path`, so that libraries that look at
    the suffix (or add it) write where they are told. Parent folders are made.

    Raises:
        FileNotFoundError: the block ended without writing the temporary file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}{TEMPORARY}-{os.getpid()}{path.suffix}")
    try:
        yield temporary
        if not temporary.exists():
            raise FileNotFoundError(f"nothing was written to {temporary}, so {path} was left as it was")
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: str | Path) -> int:
    """Remove the temporary files that killed processes left in `folder` and return how many there were."""
    found = [path for path in Path(folder).glob(f".*{TEMPORARY}-*") if path.is_file()]
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def write_json(path: str | Path, obj: Any) -> None:
    """Write `obj` as indented UTF-8 JSON, whole or not at all; NaN and infinities are a ValueError."""
    text = json.dumps(obj, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; what comes back has only finite numbers, no entry twice and no more than `DEEPEST` levels.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is not JSON (for instance cut off), too large or too deep; the text names the file and
            the place.
    """
    path = Path(path)
    if not path.is_file():
        what = "what is there is no regular file" if path.exists() else "there is none"
        raise FileNotFoundError(f"no file at {path}: expected a JSON file, {what}")
    size = path.stat().st_size
    if size > LARGEST_JSON:
        raise ValueError(
            f"{path} has {size} bytes, a JSON file of rla_gym at most {LARGEST_JSON}: write or fetch it again"
        )
    try:
        return parse_json(path.read_bytes().decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error}); it may be cut off: write or fetch it again") from error


def parse_json(text: str) -> Any:
    """The value of a JSON text with the promises of `read_json`; a ValueError says where they are broken."""
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError(f"more than {DEEPEST} levels of lists and objects") from None
    level = [value]
    for _ in range(DEEPEST):
        inner = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list))
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
        if not level:
            break
    else:
        raise ValueError(f"more than {DEEPEST} levels of lists and objects")
    if "\\ud" in text.lower():  # half of a pair, which no text file can hold
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("a text with half of a surrogate pair") from None
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        again = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the entry {again[:60]!r} is there twice")
    return found


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def sha256_file(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while piece := handle.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
