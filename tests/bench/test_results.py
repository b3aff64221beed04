"""Results come back as they were written, small, and edited ones are refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from rla_gym.bench.registry import benchmark, benchmarks, register_benchmark
from rla_gym.bench.results import LIMIT, Results, dumps
from rla_gym.bench.run import run
from rla_gym.utils.outputs import MANIFEST


@dataclass(frozen=True)
class Mean:
    """Take a mean."""

    name: ClassVar[str] = "test-mean"
    ckpt: str = "none"

    def measure(self, progress: bool = True) -> Results:
        return results()

    figure: str | None = None

    def illustrate(self, results: Results, folder: Path) -> list[str]:
        if self.figure is None:
            raise MemoryError("while drawing")
        (folder / self.figure).write_text("a figure")
        return []

    def settings(self) -> dict[str, Any]:
        return {"ckpt": self.ckpt}

    @staticmethod
    def summarize(episodes: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
        return {"mean": float(np.nanmean(episodes["a"]["x"])), "none": float("nan")}

    @staticmethod
    def table(summary: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
        return f"mean {summary['mean']:.3f}"


def results(**changed: Any) -> Results:
    episodes = {"a": {"x": np.array([0.1234567, np.nan, 3.0]), "solved": np.array([True, False, True])}}
    notes = ("one thing was not measured",)
    return Results("test-mean", {"ckpt": "none"}, {"word": "fact"}, episodes, notes, **changed)


@pytest.fixture(autouse=True, scope="module")
def registered() -> None:
    register_benchmark("test-mean", Mean)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    written = results(protocol={"file": "suite.toml", "sha256": "0" * 64})
    path = written.write(tmp_path / "folder" / "result.json")
    read = Results.read(path)
    assert read.to_dict() == written.to_dict()
    np.testing.assert_array_equal(read.episodes["a"]["x"], [0.12346, np.nan, 3.0])
    assert read.episodes["a"]["solved"].tolist() == [1, 0, 1]
    assert read.table() == "mean 1.562\nnote: one thing was not measured"
    assert read.made["versions"]["numpy"] == np.__version__ and read.made["machine"]["cores"]


def test_a_result_is_safe_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(MemoryError, match="while drawing"):
        run(Mean(), tmp_path / "out")
    assert Results.read(tmp_path / "out" / "result.json").summary["mean"] == pytest.approx(1.56173)


def test_a_benchmark_replaces_its_own_files_alone(tmp_path: Path) -> None:
    for _ in range(2):
        run(Mean(figure="a.png"), tmp_path)
    assert (tmp_path / "a.png").read_text() == "a figure"
    (tmp_path / "b.png").write_text("mine")
    with pytest.raises(FileExistsError, match=r"b.png is in the way: `rla-gym bench test-mean` did not write it"):
        run(Mean(figure="b.png"), tmp_path)
    assert (tmp_path / "b.png").read_text() == "mine"
    results().write(tmp_path / "other" / "result.json")
    with pytest.raises(FileExistsError, match="result.json is in the way"):
        run(Mean(figure="a.png"), tmp_path / "other")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == sorted(
        [MANIFEST, "a.png", "b.png", "result.json", "result.json"]
    )


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ('"ckpt": "none"', '"ckpt": "other"', "settings have another hash"),
        ("[0.12346,", "[9.12346,", "outcomes give another summary"),
        ('"schema": 1', '"schema": 2', "has schema 2: expected"),
        ('"notes"', '"nodes"', "unknown entries nodes"),
    ],
)
def test_edited_files_are_refused(tmp_path: Path, before: str, after: str, text: str) -> None:
    path = results().write(tmp_path / "result.json")
    content = path.read_text()
    assert content.count(before) == 1
    path.write_text(content.replace(before, after))
    with pytest.raises(ValueError, match=text):
        Results.read(path)


def test_outcomes_of_many_agents_stay_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sides = {"success": rng.integers(2, size=200), **{name: rng.normal(size=200) for name in "abcde"}}
    many = {"a": {"x": np.ones(1)}, **{f"agent {i}": {"dream": sides, "real": sides} for i in range(16)}}
    path = Results("test-mean", {}, {}, many).write(tmp_path / "result.json")
    assert path.stat().st_size < LIMIT / 3
    with pytest.warns(UserWarning, match="keep it out of git"):
        Results("test-mean", {}, {}, {"a": {"x": rng.normal(size=150_000)}}).write(tmp_path / "large.json")


def test_lists_of_numbers_take_one_line() -> None:
    value = {"a": [1, 2.5, None], "b": {"c": "d"}, "e": [[1], [2]], "f": {}, "g": []}
    assert json.loads(dumps(value)) == value
    assert '"a": [1,2.5,null]' in dumps(value)


def test_the_registry() -> None:
    assert {"transfer", "ranking", "test-mean"} <= set(benchmarks())
    assert benchmark("test-mean") is Mean and benchmark(f"{Mean.__module__}:Mean") is Mean
    register_benchmark("test-mean", Mean)  # the same again
    with pytest.raises(ValueError, match="already"):
        register_benchmark("transfer", Mean)
    with pytest.raises(ValueError, match="expected letters"):
        register_benchmark("no name", Mean)
    with pytest.raises(ValueError, match="no benchmark is called 'none': there are"):
        benchmark("none")
    with pytest.raises(ValueError, match="expected a dataclass with name, measure"):
        benchmark("pathlib:Path")
