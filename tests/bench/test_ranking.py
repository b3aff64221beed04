"""Correlations of policies whose success is known, and what refuses to rank."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rla_gym.bench.ranking import Ranking, draw
from rla_gym.bench.results import Results
from rla_gym.utils.statistics import cohens_kappa, mmrv, pearson, spearman

FACTS = {
    "checkpoint": {"name": "small", "task": "push-cube"},
    "agents": {},
    "threshold": 0.5,
    "task_success": True,
    "control_steps": {},
}


def transfer(dream: list[float], real: list[float], starts: int = 40) -> Results:
    """Policy k solves the first dream[k] of the starts in the dream, and the first real[k] in reality."""
    place = (np.arange(starts) + 0.5) / starts

    def side(rate: float) -> dict[str, np.ndarray]:
        names = ("return", "start_distance", "least_distance", "last_distance")
        return {"success": place < rate, "steps": np.ones(starts, int), **dict.fromkeys(names, place)}

    agents = {f"p{k}": {"dream": side(d), "real": side(r)} for k, (d, r) in enumerate(zip(dream, real, strict=True))}
    begun = {"episode": np.arange(starts), "frame": np.zeros(starts, int)}
    return Results("transfer", {"ckpt": "small", "seed": 0}, FACTS, {"starts": begun, "agents": agents})


def test_a_judge_that_is_right_and_one_that_is_not(tmp_path: Path) -> None:
    path = transfer([0.2, 0.4, 0.5, 0.7, 0.9], [0.1, 0.3, 0.4, 0.6, 0.8]).write(tmp_path / "right.json")
    benchmark = Ranking(results=path)
    results = benchmark.measure()
    assert benchmark.illustrate(results, tmp_path) == []
    found = results.summary
    assert found["pearson"]["value"] == pytest.approx(1.0) and found["spearman"]["value"] == pytest.approx(1.0)
    assert found["mmrv"]["value"] == 0.0 and 0.75 < found["kappa"]["value"] < 0.85
    assert found["pearson"]["over_starts"][0] > 0.9 and found["pearson"]["over_policies"] is not None
    assert (tmp_path / "ranking.png").stat().st_size > 10_000
    assert "| Pearson r | 1.00 |" in results.table()

    path = transfer([0.9, 0.5, 0.1], [0.1, 0.5, 0.9]).write(tmp_path / "wrong.json")
    results = Ranking(results=path).measure()
    found = results.summary
    assert found["pearson"]["value"] == pytest.approx(-1.0)
    assert found["mmrv"]["value"] == pytest.approx((0.8 + 0.4 + 0.8) / 3)
    assert found["pearson"]["over_policies"] is None and "no interval over policies" in results.notes[-1]
    assert Results.read(results.write(tmp_path / "ranking.json")).to_dict() == results.to_dict()
    assert results.settings["results"]["file"] == str(path)


def test_what_cannot_be_ranked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 policies: expected at least 3"):
        Ranking(agents=("a.zip", "b.zip")).measure()
    path = transfer([0.5, 0.5], [0.5, 0.5]).write(tmp_path / "two.json")
    with pytest.raises(ValueError, match="2 policies: expected at least 3"):
        Ranking(results=path).measure()
    with pytest.raises(ValueError, match="give one of them"):
        Ranking(agents=("a.zip",), results=path).measure()


def test_measures_are_those_of_the_statistics(tmp_path: Path) -> None:
    dream, real = [0.2, 0.3, 0.3, 0.9], [0.1, 0.5, 0.2, 0.6]
    results = transfer(dream, real)
    path = results.write(tmp_path / "any.json")
    found = Ranking(results=path).measure().summary
    solved = {
        side: np.array([each[side]["success"] for each in results.episodes["agents"].values()])
        for side in ("dream", "real")
    }
    rates = [solved[side].mean(axis=1) for side in ("dream", "real")]
    assert found["pearson"]["value"] == pytest.approx(pearson(*rates))
    assert found["spearman"]["value"] == pytest.approx(spearman(*rates))
    assert found["mmrv"]["value"] == pytest.approx(mmrv(real=rates[1], simulated=rates[0]))
    assert found["kappa"]["value"] == pytest.approx(cohens_kappa(solved["dream"].ravel(), solved["real"].ravel()))


def test_policies_that_are_all_alike_have_no_order(tmp_path: Path) -> None:
    path = transfer([0.5] * 3, [0.5] * 3).write(tmp_path / "alike.json")
    found = Ranking(results=path).measure().summary
    assert found["pearson"]["value"] == 0.0 and found["mmrv"]["value"] == 0.0
    draw(tmp_path / "alike.png", found, FACTS)
    assert (tmp_path / "alike.png").exists()
