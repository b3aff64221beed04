"""Where a result comes from: the commit of this source and the versions of packages."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
PACKAGES = ("rla_gym", "torch", "numpy", "gymnasium", "stable-baselines3", "timm", "accelerate", "mujoco")
TIMEOUT = 10.0


def commit(folder: Path = SOURCE) -> str | None:
    """Commit of the git repository that tracks `folder`, with "+changes" where a tracked file of it was changed.

    None where git tracks nothing there: a package installed below some other project's repository is not of its commit.
    """
    try:
        if not _git(folder, "ls-files", "--", "."):
            return None
        head = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):  # no git, no repository, or no commit yet
        return None
    return head + ("+changes" if changed else "")


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str | None]:
    """Versions of Python and of `packages`; None for what is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=TIMEOUT
    ).stdout.strip()
