"""The commands in a row make a checkpoint that environments load; a second call goes on instead of starting over."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch

from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.cli import main
from rla_gym.cli.budget import within_budget
from rla_gym.cli.commands import parse
from rla_gym.cli.inspect import card_of
from rla_gym.cli.unfinished import UNFINISHED
from rla_gym.training.run import TrainedRun
from rla_gym.utils.digests import read_object
from rla_gym.utils.files import write_json
from tests.cli.conftest import EPISODES, STAGES, Made
from tests.recording import workers_in_threads


def test_collect_writes_what_was_asked_for(made: Made) -> None:
    card = json.loads((Path(made.data) / "card.json").read_text())
    assert card["episodes"] == EPISODES
    assert card["settings"]["noise"] == 0.1


def test_encode_keeps_the_encoder_that_made_the_tokens(made: Made) -> None:
    from rla_gym.data import TokenStore
    from rla_gym.models.encoder import Encoder

    store = TokenStore.open(made.tokens)
    assert Encoder.load(Path(made.tokens) / "encoder.safetensors").hash == store.info["encoder"]["hash"]
    assert store.tokens.shape[2] == 12


def test_encode_again_opens_the_finished_store(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    before = (Path(made.tokens) / "tokens.npy").stat().st_mtime_ns
    assert main(made.encode()) == 0
    assert (Path(made.tokens) / "tokens.npy").stat().st_mtime_ns == before
    assert f"of {EPISODES} episodes" in capsys.readouterr().out


def test_encode_into_a_store_of_another_encoder_leaves_it_alone(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    kept = (Path(made.tokens) / "encoder.safetensors").read_bytes()
    other = ["--encoder", "vit_tiny_patch16_224", "--layer", "1", "--weights", "random:1", "--pca", "12"]
    assert main(["encode", "--data", made.data, *other, "--out", made.tokens]) == 2
    assert "encoder hash" in capsys.readouterr().err
    assert (Path(made.tokens) / "encoder.safetensors").read_bytes() == kept


@pytest.mark.parametrize("option", [["--layer", "2"], ["--weights", "random:1"]])
def test_encode_refuses_what_it_would_ignore(
    made: Made, option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for encoder in (["--encoder", made.encoder], []):
        assert main(["encode", "--data", made.data, *encoder, *option, "--out", str(tmp_path / "tokens")]) == 2
        assert f"{' '.join(option)} is for a timm model" in capsys.readouterr().err


def test_encode_like_another_store(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["encode", "--data", made.data, "--like", made.tokens, "--out", str(tmp_path / "tokens")]
    assert main([*arguments, "--encoder", made.encoder]) == 0
    assert f"channels and statistics of {made.tokens}" in capsys.readouterr().out
    assert (tmp_path / "tokens" / "tokens.npy").read_bytes() == (Path(made.tokens) / "tokens.npy").read_bytes()
    other = ["--encoder", "vit_tiny_patch16_224", "--layer", "1", "--weights", "random:1"]
    assert main([*arguments[:-1], str(tmp_path / "other"), *other]) == 2
    assert "like another of the same encoder only" in capsys.readouterr().err
    assert main([*arguments[:3], "--like", str(tmp_path), "--out", str(tmp_path / "other")]) == 2
    assert "no finished token store" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_merge_joins_data_sets(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, more = str(tmp_path / "out"), str(tmp_path / "more")
    collect = ["collect", "--task", "push-cube", "--episodes", "1", "--play", "0", "--goal-blind", "0"]
    collect += ["--max-steps", "47"]
    with workers_in_threads():
        assert main([*collect, "--interrupted", "1", "--seed", "9", "--workers", "1", "--out", more]) == 0
    assert main(["merge", made.data, more, "--out", out]) == 0
    assert f"{EPISODES + 1} episodes" in capsys.readouterr().out
    assert main(["inspect", out]) == 0
    assert "Merged from 2 data sets" in capsys.readouterr().out
    assert main(["merge", "--out", out, more, made.data]) == 2
    assert "choose another folder" in capsys.readouterr().err


def test_a_quick_world_model_is_anchored_and_dreams(made: Made, tmp_path: Path) -> None:
    quick = Made(tmp_path)
    for name in ("data", "tokens"):
        (tmp_path / name).symlink_to(Path(made.folder) / name)
    sizes = [argument for argument in quick.train(model="quick") if not argument.startswith("--decoder")]
    assert main(sizes) == 0
    assert main(quick.export()) == 0
    assert not (Path(quick.run) / "decoder").exists()
    bundle = load_checkpoint(quick.checkpoint)
    assert bundle.flow.config.anchor and bundle.autoencoder.config.linear_path
    env = gym.make("RLAWorld-v0", ckpt=quick.checkpoint, temperature=1.0)
    first, _ = env.reset(seed=0)
    then, *_ = env.step(np.zeros(env.action_space.shape, np.float32))
    assert env.observation_space.contains(then) and not np.array_equal(first, then)
    env.close()


def test_train_again_is_finished_at_once(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(made.train()) == 0
    out = capsys.readouterr().out
    for stage in STAGES:
        assert f"{stage}: step 2 of 2" in out


def test_train_refuses_other_settings(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(made.train(steps=3)) == 2
    assert "loop.steps: 2 -> 3" in capsys.readouterr().err


def test_train_stops_when_the_time_is_over(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "features", "--tokens", made.tokens, "--out", str(tmp_path), "--steps", "100000",
                 "--batch-size", "2", "--no-tensorboard", "--minutes", "0.001"]  # fmt: skip
    assert main(arguments) == UNFINISHED
    told = capsys.readouterr().err
    assert "0.001 minutes are over; features lacks" in told and "of 100,000 steps: about" in told
    assert "at the speed so far; the same command resumes" in told
    card = card_of(str(tmp_path / "features"))
    assert "of 100000" in card and "Unfinished: stopped at step" in card
    assert "autoencoder and flow not trained yet" in card_of(str(tmp_path))
    assert 0 < json.loads((tmp_path / "features" / "latest.json").read_text())["step"] < 100_000


def test_the_checkpoint_dreams_and_runs_for_real(made: Made) -> None:
    dream, real = (gym.make(name, ckpt=made.checkpoint) for name in ("RLAWorld-v0", "RLAReal-v0"))
    for env in (dream, real):
        env.reset(seed=0)
        observation, reward, *_ = env.step(np.zeros(env.action_space.shape, np.float32))
        assert env.observation_space.contains(observation)
        assert np.isfinite(reward)
        env.close()


def test_export_keeps_cards(made: Made) -> None:
    config = load_checkpoint(made.checkpoint).config
    assert config.name == "small"
    assert config.data_card["episodes"] == EPISODES
    assert (config.task, config.task_options) == ("push-cube", {"max_steps": 47})
    assert config.training_card["flow"]["steps_done"] == 2
    assert config.training_card["flow"]["processes"] == 1
    assert set(config.metrics) == {"autoencoder", "decoder", "features", "flow", "image_decoder"}


def test_export_takes_the_continued_decoder(made: Made) -> None:
    exported = load_checkpoint(made.checkpoint).autoencoder.state_dict()
    first, last = (TrainedRun.read(Path(made.run) / run).weights["autoencoder"] for run in ("autoencoder", "decoder"))
    changed = {key for key in first if not torch.equal(first[key], last[key])}
    assert changed
    assert not any(key.startswith("encoder.") for key in changed)
    for key in changed:
        torch.testing.assert_close(exported[key], last[key], atol=1e-3, rtol=1e-3)


def test_export_refuses_a_flow_of_another_autoencoder(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("features", "flow"):
        (run / name).symlink_to(Path(made.run) / name)
    arguments = ["train", "autoencoder", "--tokens", made.tokens, "--out", str(run), "--steps", "1", "--seed", "1",
                 "--batch-size", "2", "--no-tensorboard"]  # fmt: skip
    assert main(arguments) == 0
    exported = [*made.export()[:2], str(run), *made.export()[3:-1], str(tmp_path / "checkpoint")]
    assert main(exported) == 2
    assert "train the flow again" in capsys.readouterr().err
    assert not (tmp_path / "checkpoint").exists()


def test_a_stopped_autoencoder_is_not_built_on(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = Made(tmp_path)
    shutil.copytree(made.run, other.run)
    state = next(Path(other.run, "autoencoder").rglob("state.json"))
    entries, _ = read_object(state)  # without its digest, as whoever edits it on purpose leaves it
    entries["description"]["loop"]["steps"] = 9
    write_json(state, entries)
    flow = ["train", "flow", "--tokens", made.tokens, "--out", other.run, "--steps", "2", "--no-tensorboard"]
    export = ["export", "--run", other.run, "--tokens", made.tokens, "--data", made.data, "--references", "2",
              "--out", str(tmp_path / "checkpoint")]  # fmt: skip
    for command in ([*flow, "--out", other.run], export):
        assert main(command) == 2
        told = capsys.readouterr().err
        assert "stopped at step 2 of 9, 7 are missing" in told and "--unfinished" in told
    assert main([*export, "--unfinished"]) == 0
    assert load_checkpoint(tmp_path / "checkpoint").config.steps == 1


def test_too_short_episodes_are_told_before_any_training(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ["train", "all", "--tokens", made.tokens, "--data", made.data, "--out", str(tmp_path / "run")]
    assert main([*train, "--chunk", "40"]) == 2
    assert "has the 121 frames of 3 chunks of 40 actions" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_budgets_plan_the_steps_of_a_quick_training_and_given_steps_come_first() -> None:
    def planned(*more: str) -> list[int]:
        command = parse(["train", "quick", "--tokens", "t", "--out", "o", *more]).model  # type: ignore[attr-defined]
        names = ("autoencoder", "features", "flow", "decoder", "image_decoder")
        return [int(within_budget(getattr(command, name), command.budget).steps) for name in names]

    assert planned() == planned("--budget", "medium") == [800, 3000, 8000, 0, 400]
    assert planned("--budget", "small") == [200, 750, 2000, 0, 100]
    assert planned("--budget", "large", "--flow.steps", "8000") == [2400, 9000, 8000, 0, 1200]


def test_an_unfinished_run_says_all_that_is_missing(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(Path(made.run) / "autoencoder", tmp_path / "run" / "autoencoder")
    arguments = ["export", "--run", str(tmp_path / "run"), "--tokens", made.tokens, "--data", made.data]
    assert main([*arguments, "--out", str(tmp_path / "checkpoint")]) == 2
    assert "is unfinished: features has not begun; flow has not begun" in capsys.readouterr().err
