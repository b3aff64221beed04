"""Errors of the library name flags where they come out of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from rla_gym.cli import main
from rla_gym.cli.commands import parse
from rla_gym.cli.flags import flags_of, in_flags
from rla_gym.cli.unfinished import UNFINISHED, UnfinishedError

TRAIN = ["train", "quick", "--tokens", "t", "--out", "o"]


@pytest.mark.parametrize(
    ("arguments", "text", "told"),
    [
        (TRAIN, "give the same (extend=True changes the steps)", "give the same (--extend changes the steps)"),
        (TRAIN, "tensorboard=False, threads=0: wrong", "--no-tensorboard, --threads 0: wrong"),
        (TRAIN, "steps=3 is of every stage, draws=2 of one", "steps=3 is of every stage, --flow.draws 2 of one"),
        (["demo"], "seeds=(1, 1), clone_held_out=2", "--seeds (1, 1), --clone-held-out 2"),
        (["demo"], "loop.seeds=3, x-seeds=3, reseeds=3", "loop.seeds=3, x-seeds=3, reseeds=3"),
        (["export", "--run", "r", "--tokens", "t", "--data", "d", "--out", "o"], "run_folder=x", "--run x"),
    ],
)
def test_settings_become_flags(arguments: list[str], text: str, told: str) -> None:
    assert in_flags(text, parse(arguments)) == told


def test_every_flag_is_one_that_the_command_takes() -> None:
    """Each flag that an error may name parses, so that no rename of a field is forgotten."""
    flags = flags_of(parse(TRAIN))
    assert flags["extend"] == "--extend" and flags["data"] == "--data" and "lr" not in flags
    assert parse([*TRAIN, flags["draws"], "3"]).model.flow.draws == 3  # type: ignore[attr-defined]
    assert in_flags("a text with extend=True", None) == "a text with extend=True"


def test_an_unfinished_command_has_a_status_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise UnfinishedError("flow lacks 3 steps")

    monkeypatch.setattr("rla_gym.cli.collect.Collect.run", stopped)
    assert main(["collect", "--task", "push-cube", "--out", str(Path("nowhere"))]) == UNFINISHED == 75
    assert capsys.readouterr().err == "unfinished: flow lacks 3 steps\n"
