"""Speed: turns, ratios, operations and memory are what they are called; a smoke run measures all it should."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks.baselines.interface import parameter_count
from benchmarks.baselines.sizes import TOLERANCE
from benchmarks.readme import RESULTS, UNMEASURED, filled
from benchmarks.speed.clock import Entrant, precise, race, summary, times
from benchmarks.speed.entrants import model_entrants
from benchmarks.speed.machine import cores, flops, matmul, peak_memory
from benchmarks.speed.models import BUILDERS, Evaluations, built, setting_of
from benchmarks.speed.quality import errors
from benchmarks.speed.run import Args, main
from benchmarks.speed.scaling import batch_exponents, exponent
from benchmarks.speed.tables import _rate, core_share, few_steps, speed
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.data import TokenStore
from rla_gym.utils.files import read_json


def turns(*seconds: float) -> list[dict[str, float]]:
    return [{"seconds": each} for each in seconds]


def test_all_take_turns_and_every_other_round_backwards() -> None:
    ran: list[str] = []
    entrants = [Entrant(name, lambda name=name: ran.append(name), 2.0) for name in "ab"]
    found = race(entrants, rounds=2, seconds=0.0)
    assert "".join(ran) == "ab" + "ab" + "ba"
    assert {name: [turn["runs"] for turn in own] for name, own in found.items()} == {"a": [1, 1], "b": [1, 1]}
    with pytest.raises(ValueError, match="different names"):
        race([entrants[0], entrants[0]], 1, 0.0)


def test_timings_beside_other_work_are_marked() -> None:
    turns = [{"seconds": 1.0, "cpu_seconds": share} for share in (0.5, 0.8, 0.99)]
    assert core_share(turns) == 0.8
    race = {"timed": {"dream": {"per_second": 20.0, "turns": turns}}, "ratios": {}}
    assert _rate(race, "dream") == "20†"
    race["timed"]["dream"]["turns"] = turns[2:]
    assert _rate(race, "dream") == "20"


def test_rates_are_of_the_median_turn_and_ratios_of_turns_of_one_round() -> None:
    entrants = [Entrant("slow", lambda: None, 6.0), Entrant("fast", lambda: None, 6.0)]
    # The machine was ten times slower in the second round.
    timed = summary(entrants, {"slow": turns(2.0, 20.0, 3.0), "fast": turns(1.0, 10.0, 1.0)})
    assert timed["slow"]["per_second"] == 2.0 and timed["fast"]["per_second"] == 6.0
    assert times(timed, "slow", "fast") == [2.0, 2.0, 3.0]
    assert times(timed, "slow", "absent") is None


def test_operations_are_counted_with_attention() -> None:
    x, weight = torch.randn(8, 16), torch.randn(4, 16)
    assert flops(lambda: F.linear(x, weight)) == 2 * 8 * 16 * 4
    query, key = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 7, 8)
    assert flops(lambda: F.scaled_dot_product_attention(query, key, key)) == 2 * (2 * 2 * 3 * 5 * 7 * 8)
    product = matmul(32, "bf16")
    assert flops(product.run) == product.amount and product.run().dtype == torch.bfloat16
    assert precise(lambda: F.linear(x, weight), "bf16")().dtype == torch.bfloat16
    assert precise(lambda: F.linear(x, weight), "float32")().dtype == torch.float32


def test_memory_is_what_a_run_needs_at_most() -> None:
    found = peak_memory(lambda: torch.ones(8 * 2**20).sum())
    if found is None:
        pytest.skip("this system does not tell a process its highest memory")
    assert 30 <= found["peak"] - found["before"] < 64


def test_threads_and_cores_are_put_back() -> None:
    allowed, threads = os.sched_getaffinity(0), torch.get_num_threads()
    with cores(1) as chosen:
        assert chosen is not None and os.sched_getaffinity(0) == set(chosen) and len(chosen) == 1
    assert os.sched_getaffinity(0) == allowed and torch.get_num_threads() == threads
    with pytest.raises(ValueError, match=r"threads=100000: expected 1 to \d"), cores(100_000):
        pass


def test_exponents_of_known_powers() -> None:
    assert exponent([1, 16, 64], [3 * n**1.5 for n in (1, 16, 64)]) == pytest.approx(1.5)
    with pytest.raises(ValueError, match="two different sizes"):
        exponent([4, 4], [1.0, 2.0])
    seconds = {1: 4.0, 16: 4.0, 64: 16.0, 256: 64.0}  # a fixed cost, then linear
    races = [
        {"batch": n, "precision": "bf16", "timed": {"dream": {"amount": n, "per_second": n / cost}}}
        for n, cost in seconds.items()
    ]
    found = batch_exponents(races)["bf16"]["dream"]
    assert found["from_16"] == pytest.approx(1.0) and 0.2 < found["exponent"] < 0.8


def test_errors_of_dreams() -> None:
    true = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    moving = torch.zeros(3, 4, dtype=torch.bool)
    moving[:, 1] = True
    dreamed = torch.stack([true, true], dim=1)
    dreamed[:, :, 1] += 1.0
    found = errors(dreamed, true, moving)
    np.testing.assert_allclose(found["error"], 0.25, rtol=1e-5)
    np.testing.assert_allclose(found["moving"], 1.0, rtol=1e-5)
    np.testing.assert_allclose(found["energy"], 0.5, rtol=1e-4)  # two dreams that agree: their distance to the truth
    dreamed[:, 1, 1] -= 2.0  # one on each side of the truth: as far from each other as twice that
    np.testing.assert_allclose(errors(dreamed, true, moving)["energy"], 0.5 - 0.5, atol=1e-4)
    np.testing.assert_allclose(errors(dreamed[:, :1], true, moving)["energy"], 0.5, rtol=1e-4)  # of one, its distance


def test_the_fewest_steps_that_are_as_good() -> None:
    rows = [
        {"temperature": 1.0, "chunks": 6, "steps": steps, "to_last": {"energy": [ratio, ratio - 0.01, ratio + 0.01]}}
        for steps, ratio in ((1, 1.1), (4, 1.015), (30, 1.0))
    ]
    assert [row["steps"] for row in few_steps(rows)] == [4]


def test_every_model_of_the_comparison_is_timed_at_its_size(tmp_path: Path) -> None:
    bundle = load_checkpoint("push-cube")
    setting = setting_of(bundle, tmp_path)
    models, skipped = built(bundle, setting, tuple(BUILDERS), Evaluations(euler=2, video=2))
    assert models.keys() | skipped.keys() == {*BUILDERS, "rla-wm, 2 steps", "fm-wm, 2 steps"}
    assert skipped.keys() <= {"dino-wm-stable-worldmodel", "video-diffusion"}, skipped  # packages that may be missing
    assert all("pip install" in reason for reason in skipped.values())
    counts = {name: parameter_count(model) for name, model in models.items()}
    assert all(abs(count / counts["rla-wm"] - 1) <= TOLERANCE for count in counts.values()), counts
    for entrant in model_entrants(models, bundle, setting, 2, "bf16", seed=0):
        entrant.run()
    work = {one.name: flops(one.run) for one in model_entrants(models, bundle, setting, 2, "float32", seed=0)}
    assert work["rla-wm"] < work["rla-wm, 2 steps"] < 2 * work["rla-wm"]
    if "video-diffusion" in models:
        assert 0 < work["video-diffusion, frames alone"] < work["video-diffusion"]
    with pytest.raises(KeyError, match="no model 'magic' to time; there are dino-wm"):
        built(bundle, setting, ("magic",), Evaluations())


@pytest.fixture(scope="module")
def measured(checkpoint: Path, encoded: TokenStore, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("results") / "speed.json"
    main(Args(ckpt=str(checkpoint), tokens=encoded.path, out=out, smoke=True))
    result: dict[str, Any] = read_json(out)
    return result


def test_a_smoke_run_times_everything_at_every_batch(measured: dict[str, Any]) -> None:
    precisions = ("float32", "bf16")
    assert [(held["batch"], held["precision"]) for held in measured["races"]] == [
        (batch, precision) for batch in (1, 2) for precision in precisions
    ]
    models = {"rla-wm", "rla-wm, 3 steps", "fm-wm", "fm-wm, 3 steps", "dino-wm", "dino-wm-frames", "lewm"}
    models |= {"dino-wm-stable-worldmodel"} - measured["skipped"].keys()  # of a package that may be missing
    for held in measured["races"]:
        size = measured["peaks"][held["precision"]]["size"]
        expected = {f"matmul {size}", "dream", "dream, pictures", "environment", *models}
        expected |= {"real"} - held["skipped"].keys()
        assert held["timed"].keys() == expected and (held["batch"] == 1) == ("real" in expected)
        assert all(len(entry["turns"]) == 2 and entry["per_second"] > 0 for entry in held["timed"].values())
        assert held["ratios"]["dream"]["dream"] == [1.0, 1.0, 1.0]
        assert held["of_peak"].keys() >= {"dream", "environment", *models} and min(held["of_peak"].values()) > 0
        assert held["memory_mb"].keys() == expected - {f"matmul {size}"}
    assert measured["skipped"].keys() == BUILDERS.keys() - models  # no width fits the small checkpoint's size
    for precision in precisions:
        stages = {"condition", "euler step", "decode", "features", "reward", "picture", "physics", "render", "encode"}
        assert {name for name in measured["stages"][precision]["timed"] if "matmul" not in name} == stages
        assert measured["exponents"]["batch"][precision].keys() >= {"dream", "environment", *models}
        assert measured["exponents"]["tokens"][precision]["models"].keys() == {"rla-wm", "fm-wm", "dino-wm"}
        assert measured["headlines"][precision]["of_peak"] > 0
    assert measured["commit"] and measured["versions"]["torch"] and measured["machine"]["threads"] == 1
    assert measured["seeds"] == [0, 0] and measured["settings"]["rounds"] == 2


def test_a_smoke_run_judges_few_euler_steps(measured: dict[str, Any], encoded: TokenStore) -> None:
    found = measured["quality"]
    assert found["starts"] == 6 and found["part"] in ("test", "validation", "train")
    samplers = (("euler", 1), ("euler", 2), ("midpoint", 2))
    assert [(row["temperature"], row["rule"], row["steps"], row["chunks"]) for row in found["rows"]] == [
        (temperature, *sampler, chunks) for temperature in (0.0, 1.0) for sampler in samplers for chunks in (1, 2)
    ]
    for row in found["rows"]:
        assert row["error"] == pytest.approx(np.mean(row["raw"]["error"]), rel=1e-3) and len(row["raw"]["error"]) == 6
        if (row["rule"], row["steps"]) == ("euler", 2):
            assert row["to_last"]["error"] == pytest.approx([1.0, 1.0, 1.0])
    assert found["bf16"]["2"]["error"][0] == pytest.approx(1.0, abs=0.05)
    assert found["timed"]["float32"].keys() == {"1", "2"}
    assert len(measured["headlines"]["euler"]) == 4


def test_the_table_shows_what_was_measured(measured: dict[str, Any]) -> None:
    text = speed(measured)
    for row in (
        "**RLA-WM, dream**",
        "DINO-WM, frame by frame",
        "simulator, rendered and encoded (float32)",
        "rla-wm, 3 steps",
    ):
        assert text.count(f"| {row} |") == 2, row  # in each precision
    assert "video diffusion |" not in text and "| evaluations | T = 0, 1 chunk |" in text
    assert "Megabytes that one step of batch 2 needs" in text
    assert "| 2, Euler steps |" in text and "| 2, midpoint rule |" in text
    assert "Euler steps |" not in speed({**measured, "quality": None})


def test_readmes_block_stays_empty_until_it_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("benchmarks.readme.UNMEASURED", {"speed": UNMEASURED["speed"]})
    if not (RESULTS / UNMEASURED["speed"][0]).is_file():
        monkeypatch.setattr("benchmarks.readme.TABLES", {})
        assert filled("<!-- speed -->\nold\n<!-- /speed -->\n") == "<!-- speed -->\n<!-- /speed -->\n"
    with pytest.raises(ValueError, match="exactly one <!-- speed -->"):
        monkeypatch.setattr("benchmarks.readme.TABLES", {})
        filled("nothing")


def test_a_focus_must_be_measured() -> None:
    with pytest.raises(ValueError, match=r"focus=64: expected one of the batches \[1, 2\]"):
        main(Args(batches=(1, 2)))
    with pytest.raises(ValueError, match="precisions=.'half'.: expected some of float32, bf16"):
        main(Args(precisions=("half",)))
