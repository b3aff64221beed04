import ast
import re
from pathlib import Path

import pytest

from rla_gym.extras import require

ROOT = Path(__file__).parents[1]


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


def test_every_extra_exists_and_brings_the_module():
    tomllib = pytest.importorskip("tomllib", reason="part of Python since 3.11")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    # Pillow is a dependency of matplotlib, pygame (or its successor) of an extra of Gymnasium.
    distributions = {"yaml": "pyyaml", "PIL": "matplotlib", "pygame": "gymnasium"}
    found = required()
    assert len(found) > 20
    for module, extra in found:
        assert extra in extras, f"require({module!r}, extra={extra!r}): pyproject.toml has {', '.join(extras)}"
        names = {re.split(r"[\[<>=]", line)[0].replace("-", "_") for line in extras[extra]}
        assert distributions.get(module, module) in names, f"the extra {extra!r} does not bring {module!r}: {names}"
