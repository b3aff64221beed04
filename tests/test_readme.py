"""README does what it says: its Python runs, its commands exist, its test command is the one that CI runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

from rla_gym.cli.commands import COMMANDS, parse

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def shell_lines() -> list[str]:
    inline = re.findall(r"`((?:rla-gym|make|python -m pytest)[^`]*)`", README)
    return [line for block in blocks("bash") for line in block.splitlines() if line.strip()] + inline


def commands(program: str) -> list[list[str]]:
    """Arguments of every command in README that calls `program`, those that merely name a command left out."""
    words = [shlex.split(line) for line in shell_lines()]
    return [line[1:] for line in words if line[0] == program and len(line) > 1]


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python_runs(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # beside other work, more threads than free cores take ten times as long
    try:
        run(number)
    finally:
        torch.set_num_threads(threads)


def run(number: int) -> None:
    exec(compile(blocks("python")[number], f"README.md, Python block {number}", "exec"), {"__name__": "__main__"})


def test_there_is_python() -> None:
    assert len(blocks("python")) >= 2


@pytest.mark.parametrize("arguments", [line for line in commands("rla-gym") if len(line) > 1], ids=" ".join)
def test_rla_gym_commands_parse(arguments: list[str]) -> None:
    assert isinstance(parse(arguments), COMMANDS[arguments[0]])


def test_every_command_is_in_the_table() -> None:
    table = re.findall(r"^\| `rla-gym (\S+)` \|", README, re.MULTILINE)
    assert table == list(COMMANDS)


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {arguments[0] for arguments in commands("make")}
    assert named
    assert named <= targets


def test_ci_runs_the_test_command() -> None:
    command = "python -m pytest -q -n 2"
    assert command in blocks("bash")[-1].splitlines()
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
