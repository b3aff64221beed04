"""Keeps freed memory in the process, so that the next step of the same size does not ask the system for it again."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's `mallopt`."""
LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell glibc not to give freed blocks below 2 GiB back to the system; whether it could be told.

    Each step of training or dreaming frees and takes the same large arrays. By default glibc maps and unmaps them every
    time, and the kernel clears each page. The process stays at its peak size instead. It is for processes of our own,
    which the commands are; a library that is imported has no business with it.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, LARGEST)) and bool(mallopt(M_MMAP_THRESHOLD, LARGEST))
