"""Files written whole or not at all, and JSON read with errors that say what to do."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

TEMPORARY = ".writing"
"""Part of every temporary name, before the id of the process that writes."""
TEMPORARY_NAME = re.compile(rf"\.(?P<stem>.+){re.escape(TEMPORARY)}-(?P<pid>\d+)(?P<suffix>(\.[^.]*)?)")
LONGEST_NAME = 255
"""Bytes that file systems allow in one name."""
FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_TEXTS = re.compile(r"No space left|StorageFull|os error 28|errno = 28|[Dd]isk quota|requested and \d+ written")
"""What NumPy, HDF5 and safetensors say of a full disk, in errors of their own."""


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
            raise full_disk_error(path, _size(temporary)) from error
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


def need_room(folder: str | Path, needed: int, what: str) -> None:
    """Raise the OSError of a full disk unless `needed` bytes are free where `folder` is, or will be."""
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"{what} needs {megabytes(needed)}, but {megabytes(free)} are free at {folder}: make room or choose another "
            "folder, then give the same command again",
        )


def reserve(path: Path, size: int, what: str) -> None:
    """Make `path` a file of `size` bytes for which the disk has room: writing to a mapping of it cannot fail for lack
    of room, which would kill the process.

    Raises:
        OSError: the disk has no room for it; nothing is left of the file.
    """
    need_room(path.parent, size, what)
    try:
        with open(path, "wb") as handle:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle.fileno(), 0, size)
            else:
                for begin in range(0, size, 1 << 20):
                    handle.write(bytes(min(1 << 20, size - begin)))
    except OSError as error:
        path.unlink(missing_ok=True)
        if disk_is_full(error):
            raise full_disk_error(path, size) from error
        raise


def disk_is_full(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, is that of a full disk."""
    while error is not None:
        if (isinstance(error, OSError) and error.errno in FULL) or FULL_TEXTS.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def full_disk_error(path: Path, size: int) -> OSError:
    """The error of a disk that became full while `path` was written, `size` bytes of which were there or wanted."""
    place = path.parent
    while not place.exists():
        place = place.parent
    return OSError(
        errno.ENOSPC,
        f"the disk is full: {path} was not written ({megabytes(size)} of it or more were wanted, "
        f"{megabytes(shutil.disk_usage(place).free)} are free now); make room or choose another folder, then give the "
        "same command again",
    )


def megabytes(size: int) -> str:
    """A size in bytes for people."""
    return f"{size / 1e6:.1f} MB"


def write_json(path: str | Path, obj: Any) -> None:
    """Write `obj` as indented UTF-8 JSON, whole or not at all; NaN and infinities are a ValueError."""
    text = json_text(obj)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def json_text(obj: Any) -> str:
    """What `write_json` writes."""
    return json.dumps(obj, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is not JSON (for instance cut off); the text names the file and the place.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}; expected a JSON file there")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is not valid JSON ({error}); it may be cut off: write or fetch it again"
        ) from error


def sha256_file(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while piece := handle.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
