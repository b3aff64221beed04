"""Out-of-distribution variants of the tabletop tasks: other tools, other blocks, other colours.

After the paper's test of generalisation, in which robots meet tasks that other robots were trained on. Each task
has three tools and three blocks, numbered from 0; tool 0 and block 0 are those of the plain task. Of their nine pairs

- ``train`` has (0, 0), (0, 2), (1, 0), (1, 1), (2, 1), (2, 2): every tool and every block occurs in two pairs;
- ``unseen`` has (0, 1), (1, 2), (2, 0): known tools and blocks that ``train`` never shows together;
- ``unseen-colours`` has the pairs of ``train`` in colours that neither of the two shows.

Every episode draws its pair from the reset seed. The names go behind the task's: ``push-cube@unseen``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

PLAIN = ""
"""The variant of the plain task: the pair (0, 0) alone."""

VARIANTS = ("train", "unseen", "unseen-colours")

ToolT = TypeVar("ToolT")
BlockT = TypeVar("BlockT")


@dataclass(frozen=True)
class Combination(Generic[ToolT, BlockT]):
    """What is moved with what."""

    tool: ToolT
    block: BlockT


def combinations(
    tools: Sequence[ToolT], blocks: Sequence[BlockT], variant: str
) -> tuple[Combination[ToolT, BlockT], ...]:
    """The pairs that a variant draws from.

    Args:
        tools: three, with ``colour`` and ``other_colour``.
        blocks: three of the same kind.
        variant: one of ``VARIANTS``, or ``""`` for the plain task.

    Raises:
        ValueError: there is no such variant; the message lists those that exist.
    """
    if variant == PLAIN:
        return (Combination(tools[0], blocks[0]),)
    if variant not in VARIANTS:
        raise ValueError(f"no variant is called {variant!r}; known variants: {', '.join(VARIANTS)}, or '' for none")
    # The block after the tool's own is held out: a third of the pairs, and no tool or block is left without two.
    pairs = [
        (tool, block)
        for i, tool in enumerate(tools)
        for j, block in enumerate(blocks)
        if (j == (i + 1) % len(blocks)) == (variant == "unseen")
    ]
    if variant == "unseen-colours":
        pairs = [(recoloured(tool), recoloured(block)) for tool, block in pairs]
    return tuple(Combination(tool, block) for tool, block in pairs)


def recoloured(part: Any) -> Any:
    """The same tool or block in its other colour."""
    return replace(part, colour=part.other_colour)
