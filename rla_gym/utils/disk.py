"""Room on the disk: asked for before work begins, and one true sentence where it runs out."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_TEXTS = re.compile(r"No space left|StorageFull|os error 28|errno = 28|[Dd]isk quota|requested and \d+ written")
"""What NumPy, HDF5 and safetensors say of a full disk, in errors of their own."""


def need_room(folder: str | Path, needed: int, what: str) -> None:
    """Raise the OSError of a full disk unless `needed` bytes are free where `folder` is, or will be."""
    free = shutil.disk_usage(_existing(Path(folder))).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"no room for {what}: {megabytes(needed)} needed, {megabytes(free)} free at {folder}; make room or choose "
            "another folder, then give the same command again",
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
            raise full_disk_error(path) from error
        raise


def disk_is_full(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, is that of a full disk."""
    while error is not None:
        if (isinstance(error, OSError) and error.errno in FULL) or FULL_TEXTS.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def full_disk_error(path: Path, begun: Path | None = None, what: str | None = None) -> OSError:
    """The error of a disk that became full while `path` was written, as `begun`, which is still there.

    Args:
        what: what is written, where it is more than `path`.
    """
    place = _existing(path.parent)
    written = begun.stat().st_size if begun is not None and begun.is_file() else 0
    free = shutil.disk_usage(place).free
    return OSError(
        errno.ENOSPC,
        f"the disk is full: {what or path} was not written, as it needs more room than the "
        f"{megabytes(free + written)} that were free at {place}; make room or choose another folder, then give the "
        "same command again",
    )


def _existing(folder: Path) -> Path:
    """The folder, or the innermost one around it that exists."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return place


def megabytes(size: int) -> str:
    """A size in bytes for people."""
    return f"{size / 1e6:.1f} MB"
