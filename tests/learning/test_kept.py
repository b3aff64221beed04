"""What finished stages gave comes back, of the same settings and whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import torch

from rla_gym.learning.kept import Kept

STAGES = ("one", "two")


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept", {"a": (1, 2)}, STAGES)
    assert kept.load("one") is None and not (tmp_path / "kept").exists()
    weights = {"w": torch.arange(6.0).reshape(2, 3)}
    kept.save("one", {"rate": 0.1 + 0.2, "name": None}, weights)
    kept.save("two", {})
    again = Kept(tmp_path / "kept", {"a": [1, 2]}, STAGES)
    found = again.load("one")
    assert not again.other and found is not None and found[0] == {"rate": 0.1 + 0.2, "name": None}
    assert torch.equal(found[1]["w"], weights["w"])
    assert again.load("two") == ({}, {})


def test_other_settings_begin_anew_and_nothing_else_is_removed(tmp_path: Path) -> None:
    Kept(tmp_path, {"a": 1, "b": 2}, STAGES).save("one", {})
    (tmp_path / "mine.safetensors").write_text("a user's")
    other = Kept(tmp_path, {"a": 1, "b": 3}, STAGES)
    assert other.other == ["b"] and other.load("one") is None
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]


def test_a_damaged_stage_is_done_again(tmp_path: Path) -> None:
    kept = Kept(tmp_path, {}, STAGES)
    kept.save("one", {"a": 1}, {"w": torch.zeros(100)})
    path = tmp_path / "one.safetensors"
    path.write_bytes(path.read_bytes()[:90])
    assert kept.load("one") is None
    kept.remove()
    assert not tmp_path.exists()
