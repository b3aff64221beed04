"""The training loop on a small regression: exact resume, kills, refusals, logs."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from rla_gym.training.loop import LoopConfig, fit, load_weights
from rla_gym.training.records import RunRecords

CONFIG = LoopConfig(
    steps=20,
    batch_size=8,
    lr=1e-2,
    warmup=3,
    weight_decay=0.1,
    ema=0.9,
    save_every=10,
    eval_every=10,
    log_every=5,
)


class Regression:
    """A two-layer network with a statistics buffer, fitted to a fixed random map."""

    def __init__(self, batch_size=8, seed=0, bad_step=None, pause=0.0, init=1, norm=True):
        self.batch_size, self.seed, self.bad_step, self.pause = batch_size, seed, bad_step, pause
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(init)
            middle = nn.BatchNorm1d(16) if norm else nn.Identity()
            self.net = nn.Sequential(nn.Linear(6, 16), middle, nn.GELU(), nn.Linear(16, 2))
        self.target = torch.randn(6, 2, generator=torch.Generator().manual_seed(9))

    def modules(self):
        return {"net": self.net}

    def describe(self):
        return {"task": "regression", "width": 16}

    def batch(self, step, rank):
        generator = torch.Generator().manual_seed(self.seed * 100_003 + step * 17 + rank)
        inputs = torch.randn(self.batch_size, 6, generator=generator)
        if step == self.bad_step:
            inputs[2] = math.nan
        return {"inputs": inputs, "rows": torch.arange(self.batch_size) + 100 * step}

    def loss(self, batch, step):
        time.sleep(self.pause)
        loss = (self.net(batch["inputs"]) - batch["inputs"] @ self.target.to(batch["inputs"].device)).square().mean()
        return loss, {"mse": loss.detach()}

    def evaluate(self, step):
        inputs = torch.randn(64, 6, generator=torch.Generator().manual_seed(5))
        device = next(self.net.parameters()).device
        return {"mse": float((self.net(inputs.to(device)) - (inputs @ self.target).to(device)).square().mean())}


def run(out, config=CONFIG, trainable=None, **options):
    return fit(trainable or Regression(), config, out, tensorboard=False, progress=False, cpu=True, **options)


def tensors(out, step=20):
    return load_file(Path(out) / f"step_{step:08d}" / "state.safetensors")


def assert_equal(one, other):
    assert set(one) == set(other)
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_learns_and_reports(tmp_path):
    result = run(tmp_path, replace(CONFIG, steps=200, save_every=100, eval_every=100, ema=0.99))
    assert result["finished"] and result["step"] == 200 and result["stopped"] is None
    assert result["metrics"]["mse"] < 1.0  # the target's own variance is about 6
    assert {path.name for path in tmp_path.iterdir()} == {
        "step_00000100",
        "step_00000200",
        ".rla_gym.json",
        "latest.json",
        "log.jsonl",
    }
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [e["step"] for e in entries if "loss" in e] == list(range(5, 201, 5))
    assert [e["step"] for e in entries if "held_out" in e] == [100, 200]
    assert entries[0]["loss"] > entries[-2]["loss"]


def test_resume_is_exact(tmp_path):
    run(tmp_path / "straight")
    stopped = run(tmp_path / "resumed", trainable=Terminated(at=10))
    assert stopped["step"] == 10 and not stopped["finished"] and stopped["stopped"] == "SIGTERM"
    # Another initialisation: everything must come from the checkpoint.
    result = run(tmp_path / "resumed", trainable=Regression(init=77))
    assert result["finished"]
    straight, resumed = tensors(tmp_path / "straight"), tensors(tmp_path / "resumed")
    assert {name.split("/")[0] for name in straight} == {"model", "ema", "optimizer"}
    assert sum(name.startswith("optimizer/exp_avg_sq/") for name in straight) == 6
    assert_equal(straight, resumed)
    logs = [
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("straight", "resumed")
    ]
    for one, other in zip(*logs, strict=True):
        one.pop("steps_per_second", None), other.pop("steps_per_second", None)
        assert one == other


class Terminated(Regression):
    """Sends its own process a signal while step `at` - 1 trains."""

    def __init__(self, at, number=signal.SIGTERM):
        super().__init__()
        self.at, self.number = at, number

    def loss(self, batch, step):
        if step == self.at - 1:
            os.kill(os.getpid(), self.number)
        return super().loss(batch, step)


def test_resume_refuses_another_configuration(tmp_path):
    run(tmp_path, replace(CONFIG, steps=10))
    with pytest.raises(ValueError, match=r"loop\.lr: 0\.01 -> 0\.02"):
        run(tmp_path, replace(CONFIG, steps=10, lr=0.02))
    with pytest.raises(ValueError, match=r"loop\.steps: 10 -> 20.*extend=True"):
        run(tmp_path)
    with pytest.raises(FileExistsError, match="resume=True"):
        run(tmp_path, replace(CONFIG, steps=10), resume=False)

    class Wider(Regression):
        def describe(self):
            return {"task": "regression", "width": 32}

    with pytest.raises(ValueError, match=r"trainable\.width: 16 -> 32"):
        run(tmp_path, replace(CONFIG, steps=10), Wider())
    assert run(tmp_path, replace(CONFIG, log_every=7), extend=True)["step"] == 20


def test_finished_run_is_left_alone(tmp_path):
    run(tmp_path)
    before = tensors(tmp_path)
    assert run(tmp_path)["finished"]
    assert_equal(before, tensors(tmp_path))


def test_batch_size_and_seed_must_agree(tmp_path):
    with pytest.raises(ValueError, match="batch_size is 4 in the trainable and 8"):
        run(tmp_path, trainable=Regression(batch_size=4))
    with pytest.raises(ValueError, match="seed is 3"):
        run(tmp_path, trainable=Regression(seed=3))


def test_nan_stops_and_names_step_and_rows(tmp_path):
    with pytest.raises(FloatingPointError, match=r"step 13 .*1300, 1301.*step_00000010"):
        run(tmp_path, trainable=Regression(bad_step=13))
    assert json.loads((tmp_path / "latest.json").read_text())["step"] == 10
    assert all(torch.isfinite(tensor).all() for tensor in tensors(tmp_path, 10).values())


def test_keeps_the_newest_checkpoints_and_clears_unfinished_ones(tmp_path):
    with RunRecords(tmp_path).writing() as out:  # as a killed process leaves it
        out.claim(["step_00000004/state.json"])
        (tmp_path / "step_00000004").mkdir()
        (tmp_path / "step_00000004" / "state.json").touch()
    (tmp_path / ".step_00000004.writing-99999999").mkdir()
    run(tmp_path, replace(CONFIG, save_every=4, keep=3))
    assert sorted(path.name for path in tmp_path.glob("*step_*")) == [
        "step_00000012",
        "step_00000016",
        "step_00000020",
    ]


def test_stops_after_max_seconds(tmp_path):
    result = run(tmp_path, replace(CONFIG, max_seconds=0.05), Regression(pause=0.02))
    assert result["stopped"] == "max_seconds" and 1 <= result["step"] < 20
    assert result["checkpoint"].exists()
    assert run(tmp_path)["finished"]


def test_load_weights(tmp_path):
    trainable = Regression()
    run(tmp_path, trainable=trainable)
    last, averaged = load_weights(tmp_path, ema=False)["net"], load_weights(tmp_path)["net"]
    assert_equal(last, trainable.net.state_dict())
    assert not torch.equal(last["0.weight"], averaged["0.weight"])
    assert torch.equal(last["1.running_mean"], averaged["1.running_mean"])
    halfway = load_weights(tmp_path / "step_00000010")["net"]
    assert set(halfway) == set(averaged) and not torch.equal(halfway["0.weight"], averaged["0.weight"])
    with pytest.raises(FileNotFoundError, match="train first"):
        load_weights(tmp_path / "nowhere")


def test_bf16_after_float32_in_one_process(tmp_path):
    assert run(tmp_path / "a", replace(CONFIG, steps=3))["finished"]
    assert run(tmp_path / "b", replace(CONFIG, steps=3, precision="bf16"))["finished"]
    assert all(tensor.dtype != torch.bfloat16 for tensor in tensors(tmp_path / "b", 3).values())


def test_tensorboard_logs(tmp_path):
    fit(Regression(), replace(CONFIG, steps=5), tmp_path, progress=False, cpu=True)
    assert list((tmp_path / "tensorboard").glob("events.*"))


CHILD = """
import sys
sys.path[:0] = {paths!r}
from test_loop import CONFIG, Regression, run
from dataclasses import replace
run({out!r}, replace(CONFIG, save_every=1), Regression(pause={pause}, norm={norm}))
"""


def _child(out, pause=0.0, norm=True, prefix=()):
    here = Path(__file__).parent
    script = Path(out).with_suffix(".py")
    script.write_text(CHILD.format(paths=[str(here), str(here.parents[1])], out=str(out), pause=pause, norm=norm))
    log = Path(out).with_suffix(".txt").open("w")
    return subprocess.Popen(
        [sys.executable, *prefix, str(script)],
        stdout=log,
        stderr=log,
        start_new_session=True,
        env=_environment(),
    )


def _environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def _finish(child, out):
    try:
        assert child.wait(120) == 0, Path(out).with_suffix(".txt").read_text()
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)


@pytest.mark.slow
def test_sigkill_and_resume_in_other_processes_is_exact(tmp_path):
    straight = _child(tmp_path / "straight")
    _finish(straight, tmp_path / "straight")
    killed = _child(tmp_path / "killed", pause=0.2)
    deadline = time.monotonic() + 120
    while not (tmp_path / "killed" / "step_00000004").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert json.loads((tmp_path / "killed" / "latest.json").read_text())["step"] < 20
    resumed = _child(tmp_path / "killed")
    _finish(resumed, tmp_path / "killed")
    assert_equal(tensors(tmp_path / "straight"), tensors(tmp_path / "killed"))


@pytest.mark.slow
def test_two_processes_average_gradients_and_one_writes(tmp_path):
    # What `accelerate launch` runs for several devices; on CPUs alone it would want MPI.
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    child = _child(tmp_path / "both", norm=False, prefix=launch)
    _finish(child, tmp_path / "both")
    state = json.loads((tmp_path / "both" / "step_00000020" / "state.json").read_text())
    assert state["description"]["processes"] == 2
    entries = (tmp_path / "both" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in entries if "loss" in json.loads(line)] == [5, 10, 15, 20]
    # Averaged gradients of two processes are the gradient of one process that has both batches.
    run(tmp_path / "one", replace(CONFIG, batch_size=16), _BothBatches(batch_size=16, norm=False))
    both, one = tensors(tmp_path / "both"), tensors(tmp_path / "one")
    assert set(both) == set(one)
    for name in both:
        torch.testing.assert_close(both[name], one[name], rtol=1e-3, atol=1e-5)


class _BothBatches(Regression):
    """Draws what processes 0 and 1 of a distributed run with half the batch size draw."""

    def batch(self, step, rank):
        half = Regression(batch_size=self.batch_size // 2)
        pieces = [half.batch(step, 0), half.batch(step, 1)]
        return {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}
