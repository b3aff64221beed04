"""What is installed: an editable install beats the folder it lies in; a wheel holds the package and its data alone."""

from __future__ import annotations

import zipfile
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason='builds the package: pip install "rla_gym[dev]"')

ROOT = Path(__file__).parents[1]


def test_the_package_is_found_from_the_folder_above_a_clone_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There `rla_gym` is a folder without `__init__.py`: Python would take it for a namespace package."""
    from hatchling.build import build_editable

    monkeypatch.chdir(ROOT)
    wheel = tmp_path / build_editable(str(tmp_path))
    with zipfile.ZipFile(wheel) as archive:
        [pth] = [name for name in archive.namelist() if name.endswith(".pth")]
        [line] = archive.read(pth).decode().split()
    above = tmp_path / "above"
    above.mkdir()
    (above / "rla_gym").symlink_to(ROOT, target_is_directory=True)
    alone = PathFinder.find_spec("rla_gym", [str(above)])
    assert alone is not None and alone.origin is None, "the folder by itself is a namespace package"
    found = PathFinder.find_spec("rla_gym", [str(above), line])
    assert found is not None and found.origin == str(ROOT / "rla_gym" / "__init__.py")


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_the_package_and_its_data_are_packed_and_nothing_else(target: str) -> None:
    from hatchling.builders.sdist import SdistBuilder
    from hatchling.builders.wheel import WheelBuilder

    builder = {"wheel": WheelBuilder, "sdist": SdistBuilder}[target](str(ROOT))
    packed = {included.distribution_path for included in builder.recurse_included_files()}
    checkpoint = ROOT / "rla_gym" / "checkpoints" / "push-cube"
    data = {str(path.relative_to(ROOT)) for path in checkpoint.rglob("*") if path.is_file()}
    assert len(data) >= 4
    assert {"rla_gym/py.typed", "rla_gym/__init__.py", "rla_gym/data/tokens.py"} | data <= packed
    # LICENSE, README.md and pyproject.toml are added to a source distribution by themselves.
    about = {"CHANGELOG.md", "NOTICE.md", "LICENSE", "README.md", "pyproject.toml", ".gitignore"}
    assert {path for path in packed if not path.startswith("rla_gym/")} <= (about if target == "sdist" else set())
