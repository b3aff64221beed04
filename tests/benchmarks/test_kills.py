"""A few kills of cheap commands; `python -m benchmarks.reliability.kills` has all of them, in minutes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.reliability import kills
from benchmarks.reliability.kills import Kill, Reference, difference, draw, hunt, killed, quotas, summary, undisturbed
from benchmarks.reliability.report import END, START, table, write_block
from benchmarks.reliability.stages import Stage, stages
from rla_gym.cli import main
from rla_gym.data import Episode, write_dataset
from rla_gym.data.spec import EXAMPLE
from rla_gym.utils.outputs import output


def episodes(first: int, count: int = 2) -> list[Episode]:
    found = []
    for seed in range(first, first + count):
        frames = np.random.default_rng(seed).integers(0, 255, (5, 112, 112, 3), np.uint8)
        about = {"task": "my-robot", "success": True, "seed": seed, "source": "human"}
        actions, proprio = np.zeros((4, 2), np.float32), np.zeros((5, EXAMPLE["proprio_size"]), np.float32)
        found.append(Episode(frames, actions, proprio, states=None, objects=None, **about))
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs of the stages that are killed here."""
    kills.import_all()  # once, and not in every command
    inputs = tmp_path_factory.mktemp("made")
    spec = {**EXAMPLE, "name": "my-robot", "frame_size": [112, 112], "action_low": [-1.0] * 2, "action_high": [1.0] * 2}
    spec["object_names"] = []
    for number, name in enumerate(("collect", "collect-more")):
        write_dataset(inputs / name / "episodes.hdf5", episodes(10 * number), spec)
    encoder = ["encoder", "--backbone", "vit_tiny_patch16_224", "--layer", "1", "--weights", "random:0"]
    assert main([*encoder, "--out", str(inputs / "encoder" / "encoder.safetensors")]) == 0
    return inputs


@pytest.fixture
def work(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "inputs")
    return tmp_path


def chosen(*names: str) -> list[Stage]:
    return [stage for stage in stages() if stage.name in names]


def test_killed_commands_resume_to_the_same_bytes(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rla_gym.data.tokens.JOURNAL_SECONDS", 5.0)  # `hunt` sets it, and it is set back here
    result = hunt(3, seed=1, work=work, available=chosen("merge", "encode"))
    assert result["kills"] >= 3 and not result["wrong"], [row for row in result["rows"] if row["wrong"]]
    assert set(result["stages"]) == {"merge", "encode"}


def test_what_is_wrong_is_found(work: Path) -> None:
    (merge,) = chosen("merge")
    reference = undisturbed(merge, work / "inputs")
    kill = Kill("SIGKILL", 0.5, True, None, False, False, None)
    other = Reference(merge, {**reference.content, "card.md": b"other"}, 1.0, reference.changes)
    assert killed(other, kill, work / "inputs", work / "k")["wrong"] == "card.md differs"
    failing = Reference(replace(merge, arguments=lambda inputs, out: ["merge", "a", "--out", str(out)]), {}, 1.0, 9)
    assert "the resumed command ended with 2" in killed(failing, kill, work / "inputs", work / "k")["wrong"]
    right = killed(reference, kill, work / "inputs", work / "k")
    assert right["wrong"] is None and right["delivered"] == 1 and right["statuses"] == [-9, 0]
    assert difference({"a": b"1"}, {}) == "a is missing" and difference({}, {"b/": b""}) == "b/ is too many"
    assert difference({"a": b"1"}, {"a": b"2"}) == "a differs"


def test_two_processes_are_not_mixed(work: Path) -> None:
    (merge,) = chosen("merge")
    arguments = merge.arguments(work / "inputs", work / "out")
    with output(work / "out", "merge"):
        command = kills.Command(arguments, work / "log.txt")
        assert command.wait() == 2
    assert "is being written by process" in kills.last_line(work / "log.txt")
    assert not (work / "out").exists()


def test_ways_of_killing_are_drawn_by_the_seed() -> None:
    import random

    first, second = ([draw(random.Random(seed)) for seed in range(60)] for _ in range(2))
    assert first == second
    assert {kill.signal for kill in first} == {"SIGKILL", "SIGTERM", "SIGINT"}
    for name in ("writing", "group", "ignored"):
        assert {getattr(kill, name) for kill in first} == {True, False}


def test_every_stage_is_killed() -> None:
    names = [stage.name for stage in stages()]
    assert set(kills.WEIGHTS) <= set(names) and {"train-all", "build", "demo"} <= set(names)
    for count in (20, 210):
        found = quotas(names, count)
        assert list(found) == names and min(found.values()) >= 1 and count <= sum(found.values()) < count + len(names)


def test_the_table_goes_between_its_marks(tmp_path: Path) -> None:
    rows = [
        {"stage": "merge", "signal": "SIGINT", "delivered": 2, "writing": True, "twice": None, "ignored": False}
        | {"again": 0.5, "wrong": None},
        {"stage": "encode", "signal": "SIGKILL", "delivered": 1, "writing": False, "twice": 0.1, "ignored": True}
        | {"again": None, "wrong": "tokens.npy differs"},
    ]
    result = summary(rows, seed=3)
    assert (result["kills"], result["wrong"], result["runs"]) == (3, 1, 2)
    assert "| **all** | 3 | 1 | 0 | 2 | 2 | 1 | 1 | 2 | 1 |" in table(result)
    page = tmp_path / "page.md"
    page.write_text(f"before\n{START}\nold\n{END}\nafter\n")
    write_block(result, page)
    write_block(result, page)
    assert page.read_text() == f"before\n{START}\n{table(result)}\n{END}\nafter\n"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="needs exactly one"):
        write_block(result, page)
