"""The things that are moved: boxes, discs and balls (a T and its like are in t_shape)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ORANGE = "0.85 0.35 0.15"


@dataclass(frozen=True)
class Block:
    """A block of one geom that stands on the table.

    Attributes:
        name: what messages and the geom are called.
        shape: "box", "cylinder" or "sphere".
        half: half the widths along its own x and y in metres; both are the radius if it is round.
        colour: "red green blue", each in [0, 1].
        other_colour: the one in pictures of colours that training never shows.
        half_height: in metres; a sphere's is its radius.
        mass: kilograms.
    """

    name: str
    shape: str
    half: tuple[float, float]
    colour: str
    other_colour: str
    half_height: float = 0.03
    mass: float = 0.15

    @property
    def radius(self) -> float:
        """Distance in metres from its middle at which it is touched, the mean of both directions."""
        return self.half[0] if self.half[0] == self.half[1] else (self.half[0] + self.half[1]) / 2

    def extent(self, yaw: float) -> np.ndarray:
        """Half the widths ``(2,)`` in metres along the table's x and y when it is turned by ``yaw``."""
        if self.shape != "box":
            return np.array(self.half)
        cosine, sine = abs(np.cos(yaw)), abs(np.sin(yaw))
        return np.array([cosine * self.half[0] + sine * self.half[1], sine * self.half[0] + cosine * self.half[1]])

    def mjcf(self) -> str:
        """Its geom."""
        size = {
            "box": f"{self.half[0]} {self.half[1]} {self.half_height}",
            "cylinder": f"{self.half[0]} {self.half_height}",
            "sphere": f"{self.half[0]}",
        }[self.shape]
        return (
            f'<geom name="{self.name}" type="{self.shape}" size="{size}" pos="0 0 {self.half_height}" '
            f'mass="{self.mass}" rgba="{self.colour} 1" friction="0.3"/>'
        )


def ball(name: str, radius: float, colour: str, other_colour: str) -> Block:
    """A ball."""
    return Block(name, "sphere", (radius, radius), colour, other_colour, half_height=radius)


def target_spot(radius: float) -> str:
    """MJCF of a green disc painted on the table."""
    return (
        f'<geom name="target" type="cylinder" size="{radius} 0.0005" rgba="0.10 0.60 0.25 1" contype="0" '
        'conaffinity="0"/>'
    )


BLOCKS = (
    Block("cube", "box", (0.04, 0.04), ORANGE, "0.10 0.65 0.70"),
    Block("disc", "cylinder", (0.043, 0.043), "0.93 0.75 0.15", "0.95 0.95 0.95"),
    Block("slab", "box", (0.052, 0.031), "0.90 0.45 0.65", "0.45 0.05 0.10"),
)
"""Blocks of push-cube, poke-cube and pull-cube; the first is that of the plain task."""

BALLS = (
    ball("ball", 0.052, ORANGE, "0.10 0.65 0.70"),
    ball("large ball", 0.058, "0.93 0.75 0.15", "0.95 0.95 0.95"),
    ball("small ball", 0.042, "0.90 0.45 0.65", "0.45 0.05 0.10"),
)
"""Balls of roll-ball; the first is that of the plain task."""
