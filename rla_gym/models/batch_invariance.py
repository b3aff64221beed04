"""Matrix products whose rows are rounded alike, however many rows there are.

BLAS libraries multiply blocks of rows, and the rows that are left over in other kernels, which add in another order.
Which rows are left over changes with their number and with the number of threads. Measured with torch 2.14 and its
MKL: with one thread 1 to 3 rows differ from the same rows among others, with two threads also 5 to 7 and 9 to 11;
multiples of 4 never do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

BLOCK = 8
"""Rows are filled up to a multiple of this: the 4 measured, and the next power of two to be safe."""


class WholeBlocks(TorchFunctionMode):
    """Within `with WholeBlocks():` linear layers and batch-first GRUs run on whole blocks of rows.

    Missing rows are copies of the first one, and are dropped from the result. What runs on whole blocks already, as
    the tokens of most checkpoints do, costs nothing but the look at its shape.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if func is F.linear:
            rows = args[0].numel() // args[0].shape[-1]
            # One row alone is contiguous where several are not, and of those torch adds the bias in another way.
            if rows % BLOCK or not args[0].is_contiguous():
                return _linear(rows, *args, **named)
        elif func is torch.gru and args[1].ndim == 3 and len(args[0]) % BLOCK:
            return _gru(*args, **named)
        return func(*args, **named)


def filled(tensor: Tensor, axis: int = 0) -> Tensor:
    """`tensor` with copies of its first entry along `axis` at the end, a multiple of `BLOCK` in all."""
    missing = -tensor.shape[axis] % BLOCK
    first = tensor.narrow(axis, 0, 1)
    return torch.cat([tensor, *[first] * missing], dim=axis)


def _linear(rows: int, x: Tensor, *parameters: Any, **named: Any) -> Tensor:
    flat = F.linear(filled(x.reshape(rows, -1)), *parameters, **named)
    return flat[:rows].unflatten(0, x.shape[:-1])


def _gru(x: Tensor, state: Tensor, *parameters: Any, **named: Any) -> tuple[Tensor, Tensor]:
    """The batch-first GRU that `nn.GRU` calls: `x` (B, K, C), `state` (layers, B, width)."""
    outputs, last = torch.gru(filled(x), filled(state, axis=1), *parameters, **named)
    return outputs[: len(x)], last[:, : len(x)]
