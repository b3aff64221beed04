"""Which parameters each optimiser has, and that training with Muon resumes to the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from rla_gym.models.transformer import ConditioningBlock
from rla_gym.training.loop import LoopConfig, fit
from rla_gym.training.optimizer import make_optimizers


class Blocks(nn.Module):
    """A block between two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.inwards = nn.Linear(6, 16)
        self.blocks = nn.ModuleList([ConditioningBlock(16, 2, 2.0)])
        self.outwards = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.inwards(x)
        return self.outwards(self.blocks[0](hidden, hidden.mean(1)))


class Fitting:
    """Fits `Blocks` to a fixed map of random sequences."""

    batch_size, seed = 8, 0

    def __init__(self, init: int = 0) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(init)
            self.net = Blocks()

    def modules(self) -> dict[str, nn.Module]:
        return {"net": self.net}

    def describe(self) -> dict[str, str]:
        return {"task": "sequences"}

    def batch(self, step: int, rank: int) -> dict[str, Tensor]:
        return {"inputs": torch.randn(8, 3, 6, generator=torch.Generator().manual_seed(step))}

    def loss(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        inputs = batch["inputs"]
        wanted = torch.stack([inputs[..., 0] * inputs[..., 1], inputs.mean(1, keepdim=True)[..., 2].expand(-1, 3)], -1)
        return (self.net(inputs) - wanted).square().mean(), {}

    def evaluate(self, step: int) -> dict[str, float]:
        return {}


def config(optimizer: str, steps: int = 40) -> LoopConfig:
    return LoopConfig(steps=steps, batch_size=8, lr=1e-2, warmup=3, ema=0.9, optimizer=optimizer, save_every=10)


def run(out: Path, settings: LoopConfig, trainable: Fitting | None = None, **options: float) -> dict[str, Tensor]:
    result = fit(trainable or Fitting(), settings, out, tensorboard=False, progress=False, cpu=True)
    return load_file(out / f"step_{result['step']:08d}" / "state.safetensors")


def test_muon_has_the_matrices_of_blocks_and_adamw_the_rest() -> None:
    net = Blocks()
    muon, adamw = make_optimizers({"net": net}, "muon", 1e-3, 0.0, fused=False)
    assert set(muon.names) == {
        f"net/blocks.0.{name}"
        for name in ("attn.in_proj_weight", "attn.out_proj.weight", "mlp.0.weight", "mlp.2.weight", "cond_proj.weight")
    }
    assert not set(muon.names) & set(adamw.names)
    assert len(muon.names) + len(adamw.names) == len(list(net.parameters()))
    (alone,) = make_optimizers({"net": net}, "adamw", 1e-3, 0.0, fused=False)
    assert set(alone.names) == {f"net/{name}" for name, _ in net.named_parameters()}


def test_muon_changes_what_adamw_alone_would_not(tmp_path: Path) -> None:
    muon, adamw = run(tmp_path / "muon", config("muon")), run(tmp_path / "adamw", config("adamw"))
    name = "net/blocks.0.mlp.0.weight"
    assert f"optimizer/momentum_buffer/{name}" in muon and f"optimizer/exp_avg/{name}" in adamw
    assert not torch.equal(muon[f"model/{name}"], adamw[f"model/{name}"])


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_learns_and_resumes_exactly(tmp_path: Path, optimizer: str) -> None:
    straight = run(tmp_path / "straight", config(optimizer))
    stopped = LoopConfig(**{**config(optimizer).__dict__, "max_seconds": 1e-6})
    first = fit(Fitting(), stopped, tmp_path / "resumed", tensorboard=False, progress=False, cpu=True)
    assert first["stopped"] == "max_seconds" and first["step"] < 40
    resumed = run(tmp_path / "resumed", config(optimizer), Fitting(init=7))
    assert set(straight) == set(resumed)
    for name in straight:
        assert torch.equal(straight[name], resumed[name]), name
    start, end = Fitting(), Fitting()
    end.net.load_state_dict({name[len("model/net/") :]: t for name, t in straight.items() if name.startswith("model/")})
    batch = start.batch(1000, 0)
    assert end.loss(batch, 0)[0] < 0.7 * start.loss(batch, 0)[0]


def test_unknown_optimizer_is_named() -> None:
    with pytest.raises(ValueError, match="adamw, muon, not 'adam'"):
        config("adam")
