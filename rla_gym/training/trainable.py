"""What the training loop asks of the models that it trains."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn


class Trainable(Protocol):
    """What `rla_gym.training.loop.fit` trains. `batch_size` and `seed` must equal those of the LoopConfig."""

    batch_size: int
    seed: int

    def modules(self) -> dict[str, nn.Module]:
        """The trained modules by name. Their buffers are saved and restored with them."""

    def describe(self) -> dict[str, Any]:
        """JSON-able configuration of model, data and loss; a resumed run must have the same."""

    def batch(self, step: int, rank: int) -> dict[str, Tensor]:
        """CPU tensors of one step, a function of (seed, step, rank) alone, noise included.

        It may run in another thread while the step before trains, so it must not read the trained modules. An
        entry "rows" names the samples in error messages.
        """

    def loss(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Any]]:
        """Scalar loss and named float-like parts for the log. Draws nothing at random by itself."""

    def evaluate(self, step: int) -> dict[str, float]:
        """Held-out metrics; called in evaluation mode, without gradients, with the averaged weights in place."""


class TrainingStep(nn.Module):
    """Holds the trained modules, so that DistributedDataParallel and autocast wrap the whole loss."""

    def __init__(self, trainable: Trainable) -> None:
        super().__init__()
        self.trained = nn.ModuleDict(trainable.modules())
        self._trainable = trainable

    def forward(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Any]]:
        return self._trainable.loss(batch, step)
