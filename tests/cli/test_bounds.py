"""Numbers that cannot be are refused by the name of their option, before any work; `~` is the home folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rla_gym.cli import main
from rla_gym.cli.bounds import check_command
from rla_gym.cli.commands import COMMANDS, parse

RUN = ["--tokens", "t", "--out", "o"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train", "flow", *RUN, "--held-out", "0"], "--held-out 0: expected a whole number of at least 1"),
        (["train", "features", *RUN, "--keypoints", "0"], "--keypoints 0: expected a whole number of at least 1"),
        (["train", "all", *RUN, "--minutes", "nan"], "--minutes nan: expected a positive number"),
        (["train", "all", *RUN, "--minutes", "-1"], "--minutes -1.0: expected a positive number"),
        (["train", "quick", *RUN, "--flow.weight-decay", "-5"], "--flow.weight-decay -5.0: expected a finite number"),
        (["train", "flow", *RUN, "--lr", "inf"], "--lr inf: expected a positive number"),
        (["train", "flow", *RUN, "--ema", "1"], "--ema 1.0: expected a finite number of at least 0 and under 1"),
        (["train", "decoder", *RUN, "--feedback", "2"], "--feedback 2.0: expected a finite number from 0 to 1"),
        (["collect", "--task", "push-cube", "--out", "o", "--noise", "nan"], "--noise nan"),
        (["encode", "--data", "d", "--out", "o", "--pca", "0"], "--pca 0"),
        (["export", "--run", "r", "--tokens", "t", "--data", "d", "--out", "o", "--steps", "0"], "--steps 0"),
        (["eval", "--tokens", "t", "--temperature", "-1"], "--temperature -1.0"),
        (["play", "--speed", "nan"], "--speed nan"),
        (["demo", "--kl-weight", "nan"], "--kl-weight nan"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refused_by_name(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and told in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


NEEDED: dict[str, list[str]] = {
    "collect": ["--task", "push-cube", "--out", "o"],
    "merge": ["a", "b", "--out", "o"],
    "encoder": ["--out", "o"],
    "encode": ["--data", "d", "--out", "o"],
    "train": ["quick", *RUN],
    "export": ["--run", "r", "--tokens", "t", "--data", "d", "--out", "o"],
    "eval": ["--tokens", "t"],
    "inspect": ["push-cube"],
    "build": ["push-cube"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_defaults_are_within_their_bounds(name: str) -> None:
    try:
        command: Any = parse([name, *NEEDED.get(name, [])])
    except SystemExit:
        pytest.fail(f"{name} needs other arguments than this test gives it")
    check_command(command)


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    encode: Any = parse(["encode", "--data", "~/d", "--out", "~/o", "--encoder", "~/e.safetensors"])
    check_command(encode)
    assert (encode.data, encode.out, encode.encoder) == (tmp_path / "d", tmp_path / "o", f"{tmp_path}/e.safetensors")
    merge: Any = parse(["merge", "~/a", "b", "--out", "o"])
    check_command(merge)
    assert tmp_path / "a" in next(value for value in vars(merge).values() if isinstance(value, tuple))
