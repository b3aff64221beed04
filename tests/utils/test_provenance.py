"""Results name the commit and the versions that made them."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import numpy as np
import pytest

from rla_gym.utils.provenance import commit, versions


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text("x = 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_commit_of_a_clean_tree(repository: Path) -> None:
    assert commit(repository / "package") == git(repository, "rev-parse", "HEAD")
    (repository / "notes.txt").write_text("not tracked, so no change\n")
    assert commit(repository / "package") == git(repository, "rev-parse", "HEAD")


def test_changes_are_told(repository: Path) -> None:
    (repository / "package" / "module.py").write_text("x = 2\n")
    assert commit(repository / "package") == git(repository, "rev-parse", "HEAD") + "+changes"


def test_a_folder_that_the_repository_does_not_track_has_no_commit(repository: Path) -> None:
    installed = repository / "site-packages" / "package"
    installed.mkdir(parents=True)
    (installed / "module.py").write_text("x = 1\n")
    assert commit(installed) is None


def test_no_repository_and_no_commit_yet(tmp_path: Path) -> None:
    assert commit(tmp_path / "nowhere") is None
    git(tmp_path, "init", "-q")
    (tmp_path / "module.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    assert commit(tmp_path) is None


def test_versions() -> None:
    found = versions(("numpy", "a-package-that-nobody-has"))
    assert found == {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "a-package-that-nobody-has": None,
    }
    assert versions()["torch"]
