"""A protocol runs to its end, resumes, and is fixed before its first result."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from rla_gym.bench.results import Results
from rla_gym.bench.suite import parts, read_protocol, run_suite
from rla_gym.bench.transfer import Transfer
from tests.bench.test_ranking import transfer

RANDOM = "rla_gym.bench.agents:random_policy"


def write(path: Path, **changed: Any) -> Path:
    values = {
        "name": "mine",
        "benchmarks": ["transfer"],
        "checkpoints": ["push-cube"],
        "seeds": [0, 1],
        "episodes": 2,
        "arms": {"random": RANDOM},
    }
    path.write_text(json.dumps({**values, **changed}))
    return path


@pytest.fixture(scope="module")
def finished(checkpoint: Path, agents: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite")
    small = {"num_envs": 2, "workers": 0, "time_limit": 1, "videos": 0, "later_frames": True}
    arms = {"random": RANDOM, "ppo": str(agents["ppo"]), "normalized": str(agents["normalized"])}
    settings = {"settings": {"transfer": small}, "arms": arms, "seeds": [0], "checkpoints": [str(checkpoint)]}
    file = write(folder / "suite.json", **settings)
    run_suite(file, folder / "out", progress=False)
    return folder


def test_every_part_has_a_result_that_names_the_protocol(finished: Path) -> None:
    _, said = read_protocol(finished / "suite.json")
    results = Results.read(finished / "out" / "transfer" / "seed-0" / "result.json")
    assert results.protocol == said and results.settings["time_limit"] == 1
    assert list(results.episodes["agents"]) == ["random", "ppo", "normalized"]


def test_what_is_finished_is_not_repeated(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Transfer, "measure", lambda *_: pytest.fail("measured again"))
    text = run_suite(finished / "suite.json", finished / "out", progress=False)
    assert "## transfer" in text and "| normalized |" in text


def test_a_changed_protocol_is_refused(finished: Path) -> None:
    values = json.loads((finished / "suite.json").read_text())
    changed = finished / "changed.json"
    changed.write_text(json.dumps({**values, "episodes": 3}))
    with pytest.raises(ValueError, match="changed after .*result.json was measured .* fixed before its first result"):
        run_suite(changed, finished / "out")


def test_a_changed_agent_is_refused(finished: Path, agents: dict[str, Path]) -> None:
    before = agents["ppo"].read_bytes()
    try:
        agents["ppo"].write_bytes(before + b"x")
        with pytest.raises(ValueError, match="ppo.zip changed after"):
            run_suite(finished / "suite.json", finished / "out")
    finally:
        agents["ppo"].write_bytes(before)


def test_finished_seeds_are_pooled(tmp_path: Path) -> None:
    file = write(tmp_path / "suite.json", seeds=[0, 1, 2])
    _, said = read_protocol(file)
    for seed in range(3):
        finished = replace(transfer([0.5, 0.6], [0.2 + 0.1 * seed, 0.5]), protocol=said)
        finished.write(tmp_path / "out" / "transfer" / f"seed-{seed}" / "result.json")
    text = run_suite(file, tmp_path / "out")
    assert "## transfer, push-cube, 3 seeds" in text
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["protocol"] == said and summary["seeds"] == [0, 1, 2]
    agents = summary["transfer"]["push-cube"]["agents"]
    assert agents["p0"]["real"]["by_seed"] == pytest.approx([0.2, 0.3, 0.4])
    assert agents["p1"]["against_first"]["difference"] == pytest.approx(0.2)


def test_parts_are_in_order_and_filled_in(tmp_path: Path) -> None:
    arms = {"bc": "runs/bc-{seed}/agent.zip"}
    file = write(tmp_path / "a.json", benchmarks=["transfer", "ranking"], checkpoints=["one", "x/two"], arms=arms)
    protocol, _ = read_protocol(file)
    found = list(parts(protocol, Path("out")))
    wanted = list(product(("transfer", "ranking"), ("one", "x/two"), (0, 1)))
    assert [(part.benchmark, part.checkpoint, part.seed) for part in found] == wanted
    assert found[3].settings.agents == ("bc=runs/bc-1/agent.zip",) and found[3].settings.ckpt == "x/two"
    assert found[-1].settings.results == found[3].folder / "result.json" and found[-1].settings.agents == ()
    assert found[3].folder == Path("out/transfer/1-two/seed-1")


def test_toml(tmp_path: Path) -> None:
    pytest.importorskip("tomllib")
    text = 'name = "a"\nepisodes = 5\nbenchmarks = ["transfer"]\ncheckpoints = ["b"]\nseeds = [3]\n'
    text += '[arms]\nx = "x.zip"\n'
    (tmp_path / "a.toml").write_text(text)
    protocol, said = read_protocol(tmp_path / "a.toml")
    assert protocol.seeds == (3,) and protocol.arms == {"x": "x.zip"} and said["file"] == "a.toml"


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"benchmark": ["x"]}, "unknown entries benchmark"),
        ({"episodes": "many"}, "episodes"),
        ({"seeds": [0, 0]}, "none twice"),
        ({"benchmarks": ["nothing"]}, "no benchmark is called 'nothing'"),
        ({"settings": {"ranking": {}}}, "none of the benchmarks"),
        ({"settings": {"transfer": {"video": 1}}}, r"settings.transfer has \['video'\]"),
        ({"settings": {"transfer": {"videos": "no"}}}, "settings.transfer"),
        ({"arms": {"a": "runs/{step}.zip"}}, "expected {seed} and {checkpoint} alone"),
    ],
)
def test_mistakes_are_found_before_anything_runs(tmp_path: Path, changed: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        run_suite(write(tmp_path / "suite.json", **changed), tmp_path / "out")
    assert not (tmp_path / "out").exists()
