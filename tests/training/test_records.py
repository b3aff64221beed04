"""What a run leaves on disk is read with checks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from rla_gym.training.records import RunRecords
from rla_gym.training.saved_state import FORMAT
from rla_gym.utils.digests import with_digest
from rla_gym.utils.files import read_json, sha256_file, write_json

STATE: dict[str, Any] = {
    "ema_updates": 3,
    "metrics": {"l1": float("nan")},
    "description": {"loop": {"steps": 5}, "trainable": {"data": {}}, "processes": 1},
}


@pytest.fixture
def saved(tmp_path: Path) -> tuple[RunRecords, Path]:
    records = RunRecords(tmp_path / "run")
    return records, records.save(3, {"model/a": torch.arange(400.0), "optimizer/step/a": torch.tensor(3.0)}, STATE)


def edit(path: Path, change: Callable[[dict[str, Any]], Any], sign: bool = True) -> None:
    content = read_json(path)
    change(content)
    write_json(path, with_digest(content) if sign else content)


def test_what_is_saved_comes_back(saved: tuple[RunRecords, Path]) -> None:
    records, folder = saved
    assert records.latest() == folder
    state, tensors = records.load(folder)
    assert state["format"] == FORMAT and state["step"] == 3 and state["metrics"] == {"l1": None}
    assert torch.equal(tensors["model/a"], torch.arange(400.0))


def test_another_format_is_refused(saved: tuple[RunRecords, Path]) -> None:
    records, folder = saved
    edit(folder / "state.json", lambda state: state.update(format=FORMAT + 1))
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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.update(step="3"), "state.json: step is '3', expected an integer"),
        (lambda state: state.update(step=4), "state.json: step is 4 and ema_updates 3"),
        (lambda state: state.update(metrics=[1]), r"state.json: metrics is \[1\], expected an object"),
        (lambda state: state.update(metrics={"l1": "x"}), "metrics.l1 is 'x', expected a finite number"),
        (lambda state: state["description"].pop("processes"), "lacks the entries description.processes"),
        (lambda state: state["description"].update(loop={}), "description.loop.steps is None, expected an integer"),
        (lambda state: state["description"].update(trainable=3), "description.trainable is 3, expected an object"),
        (lambda state: state["tensors"].update(sha256="0"), "state.safetensors has another SHA-256"),
        (lambda state: state.update(more=1), "unknown entries more"),
    ],
)
def test_a_state_that_cannot_be_is_refused(saved: Any, change: Callable[[dict[str, Any]], Any], said: str) -> None:
    records, folder = saved
    edit(folder / "state.json", change)
    with pytest.raises(ValueError, match=said):
        records.load(folder)


def test_a_state_that_was_edited_is_refused(saved: tuple[RunRecords, Path]) -> None:
    records, folder = saved
    edit(folder / "state.json", lambda state: state["description"]["loop"].update(steps=9), sign=False)
    with pytest.raises(ValueError, match="state.json was damaged or edited.*point latest.json"):
        records.load(folder)


@pytest.mark.parametrize(
    ("name", "tensor", "said"),
    [
        ("model/a", torch.tensor([float("nan")]), "'model/a' holds numbers that are not finite"),
        ("optimizer/step/a", torch.tensor(7.0), r"'optimizer/step/a' is \[7.0\], .* is of step 3"),
    ],
)
def test_tensors_that_do_not_fit_the_state_are_refused(saved: Any, name: str, tensor: torch.Tensor, said: str) -> None:
    records, folder = saved
    save_file({name: tensor}, folder / "state.safetensors")
    digest = sha256_file(folder / "state.safetensors")
    edit(folder / "state.json", lambda state: state["tensors"].update(sha256=digest))
    with pytest.raises(ValueError, match=said):
        records.load(folder)


@pytest.mark.parametrize(
    ("pointer", "said"),
    [
        ({"step": 3, "folder": "../run/step_00000003"}, "latest.json: step 3 and folder '../run/step_00000003'"),
        ({"step": 3, "folder": "/etc"}, "latest.json: step 3 and folder '/etc'"),
        ({"step": 4, "folder": "step_00000003"}, "latest.json: step 4 and folder 'step_00000003'"),
        ({"step": 4, "folder": "step_00000004"}, "latest.json names .*step_00000004, which is missing"),
        ({"folder": "step_00000003"}, "latest.json lacks the entries step"),
        ([], "latest.json holds list, expected a JSON object"),
    ],
)
def test_a_pointer_leads_nowhere_else(saved: tuple[RunRecords, Path], pointer: Any, said: str) -> None:
    records, _ = saved
    write_json(records.out / "latest.json", pointer)
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        records.latest()


def test_a_step_that_is_a_link_elsewhere_is_refused(saved: tuple[RunRecords, Path], tmp_path: Path) -> None:
    records, folder = saved
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="is a link to .*elsewhere, outside"):
        records.latest()


def test_lines_of_the_log_that_are_none_are_dropped(saved: tuple[RunRecords, Path]) -> None:
    records, _ = saved
    records.log({"step": 1, "loss": 0.5})
    with (records.out / "log.jsonl").open("ab") as file:
        file.write(b'{"loss": 1}\n[3]\n\xff\n{"step": "2"}\n{"step": 2, "st')
    records.rewind_log(1)
    assert (records.out / "log.jsonl").read_text() == '{"step": 1, "loss": 0.5}\n'
