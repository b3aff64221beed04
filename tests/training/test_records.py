"""What a run leaves on disk is read with checks."""

from __future__ import annotations

from pathlib import Path

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
