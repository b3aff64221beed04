"""`rla-gym bench`: a list, help of each benchmark, one run, and errors of one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from rla_gym.cli import main


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n  {name} " in listed for name in ("transfer", "ranking", "suite"))


def test_help_is_the_benchmarks_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "transfer", "--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0 and "--later-frames" in told and "--out" in told and "pickles" in told


def test_a_run_writes_below_the_present_folder(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["--episodes", "1", "--time-limit", "1", "--workers", "0", "--videos", "0"]
    agents = ["--agents", "rla_gym.bench.agents:random_policy"]
    assert main(["bench", "transfer", "--ckpt", str(checkpoint), *agents, *small]) == 0
    out = capsys.readouterr().out
    assert "| random_policy |" in out and "written to bench/transfer/small/result.json" in out
    assert [path.name for path in tmp_path.iterdir()] == ["bench"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nothing"], "no benchmark is called 'nothing'"),
        (["ranking", "--agents", "a.zip"], "1 policies: expected at least 3"),
        (["transfer", "--agents", "none.zip"], "no agent at none.zip"),
        (["transfer", "--agents", "a.zip", "--episodes", "0"], "--episodes 0: expected"),
        (["suite", "none.toml"], "no protocol file at none.toml"),
    ],
)
def test_errors_are_one_line(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and text in told and told.count("\n") == 1
