"""Files written whole or not at all, and JSON read with errors that say what to do."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rla_gym.utils.disk import disk_is_full, full_disk_error

TEMPORARY = ".writing"
"""Part of every temporary name, before the id of the process that writes."""
TEMPORARY_NAME = re.compile(rf"\.(?P<stem>.+){re.escape(TEMPORARY)}-(?P<pid>\d+)(?P<suffix>(\.[^.]*)?)")
LONGEST_NAME = 255
"""Bytes that file systems allow in one name."""
LARGEST_JSON = 16 << 20
"""Bytes: the index of some 300,000 episodes. Parsed, it takes up to 25 times as much memory."""
MOST_CONTAINERS, MOST_VALUES = 200_000, 3_000_000
DEEPEST = 32
"""Levels of lists and objects in a JSON file; the cards of checkpoints have 6."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` at success, remove it at failure.

    The temporary name carries the process id and keeps the suffix of `path`, so that libraries that look at
    the suffix (or add it) write where they should. Parent folders are made. The file is readable as the umask allows,
    whatever rights the library that wrote it gave it, and on disk before it has its name.

    Raises:
        FileNotFoundError: the block ended without writing the temporary file.
        OSError: the disk is full; the text has the path and the free space.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        yield temporary
        if not temporary.exists():
            raise FileNotFoundError(f"nothing was written to {temporary}, so {path} was left as it was")
        settle(temporary)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except Exception as error:
        if disk_is_full(error):
            raise full_disk_error(path, temporary) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def temporary_path(path: Path) -> Path:
    """The name that this process writes `path` (file or folder) under before renaming it; never too long."""
    mark = f"{TEMPORARY}-{os.getpid()}{path.suffix}"
    stem = path.stem.encode()[: LONGEST_NAME - 1 - len(mark.encode())].decode(errors="ignore")
    return path.with_name(f".{stem}{mark}")


def remove_temporaries(*paths: Path) -> int:
    """Remove what processes that are gone left of writing `paths`, and return how many there were."""
    removed = 0
    for folder in {path.parent for path in paths}:
        names = {(path.stem, path.suffix) for path in paths if path.parent == folder}
        try:
            present = os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in present:
            match = TEMPORARY_NAME.fullmatch(name)
            if match is None or (match["stem"], match["suffix"]) not in names or is_alive(int(match["pid"])):
                continue
            left = folder / name
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
            removed += 1
    return removed


def is_alive(pid: int) -> bool:
    """Whether another process than this one has that id."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def settle(path: Path) -> None:
    """Give a file that was just written the rights that the umask leaves, and wait until it is on disk."""
    mask = os.umask(0o022)
    os.umask(mask)
    path.chmod(0o666 & ~mask)
    with open(path, "rb+") as handle:  # writable: some systems sync no other handles
        os.fsync(handle.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk, where the system can do that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


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
    for count, most, what in (
        (text.count("[") + text.count("{"), MOST_CONTAINERS, "lists and objects"),
        (text.count(","), MOST_VALUES, "values"),
    ):
        if count > most:  # counted in texts too, where few are
            raise ValueError(f"{count} {what}, expected at most {most}")
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


def check_readable(path: Path) -> None:
    """Raise the system's own OSError where a file cannot be opened, which libraries report as damage."""
    with open(path, "rb"):
        pass
