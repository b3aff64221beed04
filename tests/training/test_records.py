"""What a run leaves on disk is read with checks."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rla_gym.files import read_json, write_json
from rla_gym.training.records import FORMAT, RunRecords


@pytest.fixture
def saved(tmp_path: Path) -> tuple[RunRecords, Path]:
    records = RunRecords(tmp_path / "run")
    return records, records.save(3, {"model/a": torch.arange(400.0)}, {"metrics": {"l1": float("nan")}})


def test_what_is_saved_comes_back(saved: tuple[RunRecords, Path]) -> None:
    records, folder = saved
    assert records.latest() == folder
    state, tensors = records.load(folder)
    assert state == {"format": FORMAT, "step": 3, "metrics": {"l1": None}}
    assert torch.equal(tensors["model/a"], torch.arange(400.0))


def test_another_format_is_refused(saved: tuple[RunRecords, Path]) -> None:
    records, folder = saved
    write_json(folder / "state.json", {**read_json(folder / "state.json"), "format": FORMAT + 1})
    with pytest.raises(ValueError, match=f"format {FORMAT + 1}, this version reads {FORMAT}"):
        records.load(folder)


def test_tensors_that_are_cut_off_are_refused(saved: tuple[RunRecords, Path]) -> None:
    records, folder = saved
    path = folder / "state.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="no whole safetensors file.*latest.json"):
        records.load(folder)


def test_a_missing_folder_is_told(saved: tuple[RunRecords, Path]) -> None:
    records, folder = saved
    (folder / "state.json").unlink()
    with pytest.raises(FileNotFoundError, match="missing or incomplete: restore"):
        records.latest()


def test_folders_that_no_training_wrote_are_kept(tmp_path: Path) -> None:
    for name in ("step_notes", ".step_notes", "step_00000001", ".step_00000001.writing-99999999"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").touch()
    records = RunRecords(tmp_path, keep=1)
    with pytest.raises(FileExistsError, match="step_00000001 is in the way: `rla-gym train` did not write it"):
        records.prepare()
    with pytest.raises(FileExistsError, match="step_00000001 is in the way"):
        records.save(1, {"a": torch.zeros(1)}, {})
    for step in (2, 3):
        records.save(step, {"a": torch.zeros(1)}, {})
    kept = {"step_notes", ".step_notes", "step_00000001", ".step_00000001.writing-99999999", "step_00000003"}
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == kept


def test_what_is_put_into_a_checkpoint_outlives_it(tmp_path: Path) -> None:
    records = RunRecords(tmp_path, keep=1)
    (records.save(1, {"a": torch.zeros(1)}, {}) / "notes.txt").write_text("mine")
    records.save(2, {"a": torch.zeros(1)}, {})
    assert [path.name for path in (tmp_path / "step_00000001").iterdir()] == ["notes.txt"]


def test_a_full_disk_leaves_the_latest_checkpoint(
    saved: tuple[RunRecords, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    records, folder = saved
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match="no room for the checkpoint .*step_00000004: .*needed"):
        records.save(4, {"a": torch.zeros(1000)}, {})
    assert records.latest() == folder
    assert sorted(path.name for path in records.out.iterdir()) == [".rla_gym.json", "latest.json", folder.name]
