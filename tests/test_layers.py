"""The package's rooms import downwards only, and no two modules import each other."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1] / "rla_gym"
ROOMS = (
    "utils", "models", "tasks", "data", "collect", "checkpoint", "rewards", "dream", "training", "export", "envs",
    "learning", "bench", "cli",
)  # fmt: skip
"""Lowest first: a room imports itself and those before it."""
LOOSE = {"__init__", "__main__"}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    names = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imported(path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of ours that the one at `path` imports when it runs, in functions too; not those for types alone."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rla_gym":
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in known else str(node.module))
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "rla_gym"}
        todo += ast.iter_child_nodes(node)
    return found - {"rla_gym"}


def test_nothing_lies_loose_and_every_room_has_its_place() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} == LOOSE
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} == set(ROOMS)


def test_rooms_import_downwards() -> None:
    known = modules()
    upwards = [
        f"{name} imports {other}"
        for name, path in known.items()
        for other in imported(path, known)
        if name not in ("rla_gym", "rla_gym.__main__")
        and ROOMS.index(other.split(".")[1]) > ROOMS.index(name.split(".")[1])
    ]
    assert not upwards


def test_no_modules_import_each_other() -> None:
    known = modules()
    graph = {name: imported(path, known) - {name} for name, path in known.items() if name != "rla_gym"}
    TopologicalSorter(graph).prepare()  # a CycleError names the modules
